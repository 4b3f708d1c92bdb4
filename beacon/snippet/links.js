// Addresses, edited as text: parsers change more than the token.

// Create links and repin links of Pinterest. The latter take no address.
let PIN_LINK =
  /^\s*[\w:]*\/\/([\w-]+\.)*pinterest\.(com?\.)?[a-z]{2,3}\/pin\/(create|\d+\/repin)\//i
let REPIN = /\/\d+\/repin\//

// What the token hangs on.
let mark = carrier === "fragment" ? "#" : "?"

// Takes tokens out.
let cut = (url) =>
  url.replace(/([?&#])(pinsphere=[^&#]*(&?))+/g, (all, before, token, after) => after && before)

// A parameter of a create link. An address that was not encoded keeps its own query.
let parameter = (name) =>
  RegExp(`[?&]${name}=([^&?#]*[?#].*?(?=&(media|description|guid)=|$)|[^&#]*)`)

let read = (url, name) => {
  let value = parameter(name).exec(url)?.[1] || ""
  return safe(() => decodeURIComponent(value)) || value
}

// Makes a create link pin an address with a token in it. Encoded, whatever was there before, and
// in front, where no other parameter can swallow it.
let tagLink = (link, url, token) => {
  let tagged = cut(url).replace(
    RegExp(`([${mark}][^#]*)?(?=#|$)`),
    (query) => (query ? query + "&" : mark) + "pinsphere=" + token,
  )
  return link
    .replace(parameter("url"), "")
    .replace(/[?&]|(?=#|$)/, `?url=${encodeURIComponent(tagged)}&`)
}

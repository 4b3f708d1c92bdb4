// What is kept from page to page, and the ids of visitor and session.

// The truth where localStorage is broken, full or denied; else a copy of it.
let memory = { queue: [], ids: {}, orders: [] }

// Prototype.js and its kind give arrays and strings a toJSON that quotes them a second time:
// `this[key]` is the value before that.
let toJson = (value, change = (part) => part) =>
  JSON.stringify(value, function (key) {
    return change(this[key])
  })

// queue, ids, orders (those already told), until (the session's end), from (her source pin).
let load = () => ({
  ...memory,
  ...safe(() => consent !== "denied" && JSON.parse(localStorage.pinsphere)),
})

// Removes first: of a full storage the old text would stay and be read again.
let save = (changes) => {
  memory = { ...load(), ...changes }
  safe(() => {
    delete localStorage.pinsphere
    if (consent !== "denied") localStorage.pinsphere = toJson(memory)
  })
}

// A denial wipes what was kept before. Global Privacy Control is one, whatever the page says.
let setConsent = (said) => {
  consent = navigator.globalPrivacyControl ? "denied" : said
  if (consent === "denied") {
    save({ queue: [], ids: {} })
    document.cookie = "pinsphere_visitor=;path=/;max-age=0"
  }
}

// 12 bytes, URL-safe. They name and open nothing, so chance will do where crypto is missing.
let randomId = () => {
  let bytes = new Uint8Array(12)
  let random =
    safe(() => crypto.getRandomValues(bytes)) || bytes.map(() => Math.random() * 256)
  return btoa(String.fromCharCode(...random))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
}

// Visitor and session, which half an hour of silence ends. Without consent nobody.
let person = () => {
  if (consent === "denied") return {}
  let { ids, until } = load()
  ids.visitor_id =
    safe(() => document.cookie.match(/pinsphere_visitor=([\w-]+)/)[1]) ||
    ids.visitor_id ||
    randomId()
  if (!(Date.now() < until)) ids.session_id = randomId()
  save({ ids, until: Date.now() + 18e5 })
  return ids
}

// Clicks that pin: the opened address gets its token, the pin is reported once.

let clicked = tag // what was clicked last
let click // that click
let token // the token of the pin of that click
let pin_mode

let mintPin = (link, pin_url) => {
  let { pinDo, pinLog, pinCustom, pinMedia } = clicked.dataset
  let isHover = /float|stick/.test(pinLog)
  let media_url = pinMedia || read(link, "media")
  let { from } = load()
  let parent = Date.now() < from?.until && from
  let pin_id = randomId()
  // A floating button stands outside of the lists: its place is that of the image below it.
  let image =
    isHover &&
    document.elementsFromPoint(click.clientX, click.clientY).find((element) => element.src)
  pin_mode =
    REPIN.test(link) ? "repin"
    : isHover ? "hover"
    : pinDo || pinLog || !link ?
      !media_url ? "any_image"
      : pinCustom ? "custom"
      : "button"
    : clicked.matches(".pin-it-button") ? "button"
    : "link"
  push({
    event_name: "pin",
    pin_id,
    hop: 0,
    pin_mode,
    pin_url,
    media_url,
    pinterest_guid: read(link, "guid"),
    ...place(image || clicked, pin_url),
    ...parent,
  })
  token = pin_id + (parent ? "." + parent.root_pin_id : "")
}

// Gives such a link with the token in it. The address is looked for as Pinterest's own script
// does; `given` is an attribute that goes before the link's own.
let pin = (link, given) => {
  let isRepin = REPIN.test(link)
  let url =
    isRepin ? link : (
      given ||
      read(link, "url") ||
      document.querySelector("[name='pin:url']")?.content ||
      document.querySelector("[rel=canonical]")?.href ||
      document.querySelector("[name='og:url']")?.content ||
      location.href.split("#")[0]
    )
  if (!token) mintPin(link, url)
  return isRepin ? link : tagLink(link, url, token)
}

// An <a>, not any [href]: icons inside of links are made of <use href>.
let onClick = (event) => {
  click = event
  clicked = event.target.closest("[data-pin-href],a[href]") || event.target
  let { pinDo, pinUrl } = clicked.dataset
  if (event.button > 1 || /^(no|ig)/.test(pinDo)) return
  let links = ["data-pin-href", "href"].filter((name) =>
    PIN_LINK.test(clicked.getAttribute(name)),
  )
  let isBookmarklet = /^javascript:.*pinmarklet/.test(clicked.href)
  // The picker of "any image" opens its window on a later click: the token waits for it.
  if (links[0] || isBookmarklet || pin_mode !== "any_image") token = ""
  if (isBookmarklet) pin("")
  for (let name of links) {
    let element = clicked
    let link = element.getAttribute(name)
    element.setAttribute(name, pin(link, pinDo && pinUrl))
    // Once it is opened the page is as it was: its next address may be another one.
    setTimeout(() => element.setAttribute(name, link))
  }
  if (!links[0] && clicked.host === location.host && clicked.closest(CARD))
    push({ event_name: "select_item", ...place(clicked) })
}

// Built buttons, share widgets and pickers open their window by script.
let { open } = window
safe(() => {
  window.open = (url, ...rest) =>
    open(safe(() => PIN_LINK.test(url) && pin("" + url)) || url, ...rest)
})

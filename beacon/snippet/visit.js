// Landings, the address bar, pages that change without loading, and the start of it all.

let TOKEN = /[?&#]pinsphere=([\w-]{1,64})(\.([\w-]{1,64}))?(?![^&#])/

let lastPinId

// A token may also come later, by pushState; a router may write the one it read back: it counts
// once, and leaves the address bar each time.
let arrive = (isLanding) => {
  let { href } = location
  let [, pin_id, , root] = TOKEN.exec(href) || []
  let isNew = pin_id && pin_id !== lastPinId
  let click_id = read(href, "epik")
  // A landing without a token has other evidence. A reload is none.
  let match_method =
    isNew ? "token"
    : !isLanding || document.referrer.includes(location.host) || performance.navigation?.type ? ""
    : click_id ? "epik"
    : /\[Pinterest\//.test(navigator.userAgent) ? "user_agent"
    : /\/\/([\w-]+\.)*pinterest\b/.test(document.referrer) && "referrer"
  if (isNew) {
    lastPinId = pin_id
    save({
      from: {
        parent_pin_id: pin_id,
        root_pin_id: root || pin_id,
        hop: root ? null : 1,
        until: Date.now() + 2592e6,
      },
    })
  }
  if (match_method)
    push({
      event_name: "pin_visit",
      pin_id,
      match_method,
      click_id,
      token_carrier: pin_id && (/#.*pinsphere=/.test(href) ? "fragment" : "query"),
    })
  if (cut(href) !== href) safe(() => history.replaceState(history.state, "", cut(href)))
}

// On another path lists count anew; a moment later, when the old page's are gone.
let look = () => {
  arrive()
  takeOrders()
  if (pathname !== location.pathname) {
    pathname = location.pathname
    eye.disconnect()
  } else
    for (let card of document.querySelectorAll(CARD)) eye.observe(card.closest(LIST))
}

on("click", onClick)
on("auxclick", onClick)
on("pagehide", () => {
  takeOrders()
  if (batch()) navigator.sendBeacon(endpoint, batch())
})
setInterval(() => safe(look), 500)

safe(() => setConsent(consent))
safe(() => window.pinsphere.forEach(push))
window.pinsphere = { push, visitor: () => safe(person)?.visitor_id }
arrive(true)
send()

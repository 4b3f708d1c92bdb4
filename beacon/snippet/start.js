// Finds the tag that loaded the snippet. The parts of this folder become one function, whose
// errors no page ever sees: the order of the parts and the frame are in beacon/minify.py.

// Tag managers also run scripts in ways that leave no currentScript, or their own.
let tag = document.currentScript
if (!tag?.dataset.siteKey) tag = document.querySelector("script[data-site-key][src*='/pin.js']")
// Included twice, the snippet runs once.
if (window.pinsphere?.visitor) return

let { siteKey, carrier, consent } = tag.dataset
let endpoint = new URL("/v1/events", tag.src)

// What fails in here fails in silence: a shop's page must never notice us.
let safe = (action) => {
  try {
    return action()
  } catch {}
}

// Hears before the page does, whatever the page stops.
let on = (name, listener) =>
  addEventListener(name, (event) => safe(() => listener(event)), true)

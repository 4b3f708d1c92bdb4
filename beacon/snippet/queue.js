// Events wait in the store until the beacon has answered.

let isBusy
let waitSeconds

// Takes an event of ours or of the page.
let push = (event) =>
  safe(() => {
    if (event.event_name === "consent") setConsent(event.consent)
    else if (event.event_name) enqueue(event)
  })

let enqueue = (event) => {
  let event_time_ms = Date.now()
  let text = toJson(
    {
      // A UUIDv7: the time in hexadecimal, then decimals of chance.
      event_id: (0 + event_time_ms.toString(16) + Math.random().toFixed(18)).replace(
        /(.{8})(....)0.(...)(...)/,
        "$1-$2-7$3-a$4-",
      ),
      event_time_ms,
      page_location: location.href.split("#")[0],
      page_referrer: document.referrer,
      ...event,
      consent,
      ...person(),
    },
    // No text keeps a token, is longer than the contract allows, or says nothing.
    (part) => (part?.trim ? cut(part).slice(0, 2048) || null : part),
  )
  save({ queue: [...load().queue, text].slice(-100) })
  send()
}

// The oldest events that fit into one request: all requests in flight share 64 KiB.
let batch = () => {
  let size = 0
  let events = load().queue.filter((text, place) => (size += text.length) < 8e3 || !place)
  return (
    events[0] && `{"site_key":"${siteKey}","sent_time_ms":${Date.now()},"events":[${events}]}`
  )
}

// Sends until nothing waits.
let send = () => {
  let body = batch()
  if (isBusy || !body) return
  // Overload and silence mean again, any other answer is the end. (An error has no status.)
  let settle = (answer) =>
    safe(() => {
      if (answer.status < 500 && answer.status !== 429) {
        waitSeconds = 0
        save({ queue: load().queue.filter((text) => !body.includes(text)) })
      } else waitSeconds = +answer.headers?.get("retry-after") || waitSeconds * 2 || 1
      setTimeout(() => {
        isBusy = false
        safe(send)
      }, waitSeconds * 1e3)
    })
  fetch(endpoint, { method: "POST", keepalive: true, body }).then(settle, settle)
  isBusy = true // after the call: a fetch that the page has broken throws
}

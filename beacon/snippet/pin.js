// PinSphere, see docs/snippet.md. Every page of every shop loads this: names are short, comments
// and white space are taken out by beacon/script.py.
(() => {
  let el = document.currentScript, // later: what was clicked last
    { siteKey, carrier, consent } = el.dataset,
    to = new URL("/v1/events", el.src)
  if (window.pinsphere?.visitor) return

  let b, // busy: a request is under way
    wait, // seconds to wait after it
    token, // the token of the pin of this click
    pin_mode,
    m = { queue: [], ids: {} } // memory, where localStorage fails or is denied

  // Takes an event of ours or of the page. No URL in it keeps its token.
  let push = (e) =>
      safe(() => {
        if (e.event_name === "consent") {
          consent = navigator.globalPrivacyControl ? "denied" : e.consent
          if (consent === "denied") {
            save({ queue: [], ids: {} })
            document.cookie = "pinsphere_visitor=;path=/;max-age=0"
          }
        } else if (e.event_name) {
          let event_time_ms = Date.now()
          e = JSON.stringify(
            {
              event_id: (0 + event_time_ms.toString(16) + Math.random().toFixed(18)).replace(
                /(.{8})(....)0.(...)(...)/,
                "$1-$2-7$3-a$4-"
              ),
              event_time_ms,
              page_location: location.href.split("#")[0],
              page_referrer: document.referrer,
              ...e,
              consent,
              ...who()
            },
            (k, v) => (v?.trim ? cut(v).slice(0, 2048) || null : v)
          )
          save({ queue: [...load().queue, e].slice(-100) })
          send()
        }
      }),

    // A denial wipes what was kept before.
    save = (e) => {
      m = { ...load(), ...e }
      safe(() => {
        delete localStorage.pinsphere
        if (consent !== "denied") localStorage.pinsphere = JSON.stringify(m)
      })
    },

    // Sends until nothing waits. Overload and silence mean again, any other answer is the end.
    send = () => {
      let body = batch()
      if (b || !body) return
      b = 1
      fetch(to, { method: "POST", keepalive: 1, body })
        .catch(() => 0)
        .then(({ status, headers }) => {
          if (status < 500 && status !== 429) {
            wait = 0
            save({ queue: load().queue.filter((e) => !body.includes(e)) })
          } else wait = +headers?.get("retry-after") || wait * 2 || 1
          setTimeout(() => send((b = 0)), wait * 1e3)
        })
    },

    // What the token hangs on.
    h = carrier === "fragment" ? "#" : "?",

    // The oldest events that fit into one request.
    batch = () => {
      let n = 0,
        events = load().queue.filter((e, i) => (n += e.length) < 8e3 || !i)
      return (
        events[0] &&
        `{"site_key":"${siteKey}","sent_time_ms":${Date.now()},"events":[${events}]}`
      )
    },

    // Visitor and session; a denial leaves them empty.
    who = () => {
      let { ids, until } = load()
      if (consent !== "denied") {
        ids.visitor_id =
          safe(() => document.cookie.match(/pinsphere_visitor=([\w-]+)/)[1]) ||
          ids.visitor_id ||
          id()
        if (!(Date.now() < until)) ids.session_id = id()
        save({ ids, until: Date.now() + 18e5 })
      }
      return ids
    },

    read = (url, k) => {
      let v = part(k).exec(url)?.[1] || ""
      return safe(() => decodeURIComponent(v)) || v
    },

    // What is kept from page to page: queue, ids, until (the session's end), from (her source pin).
    load = () => safe(() => JSON.parse(localStorage.pinsphere)) || m,

    // What fails in here fails in silence.
    safe = (f) => {
      try {
        return f()
      } catch {}
    },

    // 12 random bytes, URL-safe.
    id = () =>
      btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(12))))
        .replace(/\+/g, "-")
        .replace(/\//g, "_"),

    // Gives such a link with the token in it; reports its pin once a click.
    pin = (url) => {
      let { pinDo, pinLog, pinCustom, pinMedia, pinUrl } = el.dataset,
        repin = /\/repin\//.test(url),
        media_url = pinMedia || read(url, "media"),
        pin_url = repin
          ? url
          : pinUrl ||
            read(url, "url") ||
            document.querySelector("[name='pin:url']")?.content ||
            document.querySelector("[rel=canonical]")?.href ||
            location.href.split("#")[0]
      if (!token) {
        let { from } = load(),
          by = Date.now() < from?.until && from,
          pin_id = id()
        pin_mode =
          repin ? "repin"
          : !pinDo && !pinLog ? "link"
          : !media_url ? "any_image"
          : pinCustom ? "custom"
          : "button"
        push({
          event_name: "pin",
          pin_id,
          hop: 0,
          pin_mode,
          pin_url,
          media_url,
          pinterest_guid: read(url, "guid"),
          ...place(el, pin_url),
          ...by
        })
        token = pin_id + (by ? "." + by.root_pin_id : "")
      }
      return repin
        ? url
        : url.replace(part("url"), "").replace(
            /[?&]|(?=#|$)/,
            `?url=${encodeURIComponent(
              cut(pin_url).replace(
                RegExp(`([${h}][^#]*)?(?=#|$)`),
                (e) => (e ? e + "&" : h) + "pinsphere=" + token
              )
            )}&`
          )
    },

    // A parameter of a create link. An unencoded URL keeps its own query.
    part = (k) => RegExp(`[?&]${k}=([^&?#]*[?#].*?(?=&(media|description|guid)=|$)|[^&#]*)`),

    // Create links and repin links of Pinterest.
    F = /^[\w:]*\/\/([\w-]+\.)*pinterest\.[a-z.]{2,6}\/pin\/(create|\d+\/repin)\//i,

    // Takes the token out. URLs are edited as text: parsers change more than that.
    cut = (url) => url.replace(/([?&#])(pinsphere=[^&#]*(&?))+/g, (all, a, b, c) => c && a),

    // An attribute of the closest element that has it.
    near = (el, k) => el?.closest(`[${k}]`)?.getAttribute(k),

    // Where an element stands. In a list its item is its card's, never the page's.
    place = (el, url) => {
      let e = el.closest(el.closest(L) ? C : I)
      return {
        item_id:
          e?.getAttribute("data-pinsphere-item") ||
          e?.getAttribute("data-product-id") ||
          e?.getAttribute("data-sku") ||
          e?.getAttribute("data-item-id") ||
          /\/\/[^?#]*\/([^/?#]{1,128})\/?(?![^?#])/.exec(url)?.[1],
        item_list_id: near(el, "data-pinsphere-list") || near(el.parentElement, "id"),
        recommender_id: near(el, "data-pinsphere-recommender"),
        index: +near(el, "data-pinsphere-index")
      }
    },

    // Lists, items, and cards: the items of lists, less what a card itself contains.
    L = "[data-pinsphere-list]",
    I = ":is([data-pinsphere-item],[data-product-id],[data-sku],[data-item-id])",
    C = `${L} ${I}:not(${L} ${I} *)`,

    // The picker of "any image" opens its window on a later click: the token waits for it.
    click = (e) => {
      el = e.target.closest("[data-pin-href],[href]") || e.target
      if (e.button > 1 || /^(no|ig)/.test(el.dataset.pinDo)) return
      let keys = ["data-pin-href", "href"].filter((k) => F.test(el.getAttribute(k)))
      if (keys[0] || pin_mode !== "any_image") token = ""
      for (let k of keys) el.setAttribute(k, pin(el.getAttribute(k)))
      if (!keys[0] && el.host === location.host && el.closest(C))
        push({ event_name: "select_item", ...place(el) })
    },

    // A list counts once, when it is seen with items in it (push gives nothing, so ! marks it).
    eye = new IntersectionObserver((e) => {
      for (let { isIntersecting, target } of e)
        target.pinsphere ||=
          isIntersecting &&
          !push({
            event_name: "view_item_list",
            ...place(target),
            items: [...target.querySelectorAll(C)].map((el, i) => ({
              item_id: place(el).item_id,
              index: place(el).index || i
            }))
          })
    }),

    // Hears first, and never fails the page.
    on = (k, f) => addEventListener(k, (e) => safe(() => f(e)), true),

    { open } = window

  window.open = (url, ...e) => open(safe(() => F.test(url) && pin("" + url)) || url, ...e)
  on("click", click)
  on("auxclick", click)
  on("pagehide", () => batch() && navigator.sendBeacon(to, batch()))

  push({ event_name: "consent", consent })
  safe(() => window.pinsphere.forEach(push))
  window.pinsphere = { push, visitor: () => who().visitor_id }

  // A landing: the token, else a click id, Pinterest's app, its referrer. A reload is none.
  safe(() => {
    let [, pin_id, , root] =
        location.href.match(/[?&#]pinsphere=([\w-]{1,64})(\.([\w-]{1,64}))?(?![^&#])/) || [],
      click_id = read(location.href, "epik"),
      match_method =
        pin_id ? "token"
        : document.referrer.includes(location.host) || performance.navigation.type ? ""
        : click_id ? "epik"
        : /\[Pinterest\//.test(navigator.userAgent) ? "user_agent"
        : /\/\/([\w-]+\.)*pinterest\b/.test(document.referrer) && "referrer"
    if (match_method)
      push({
        event_name: "pin_visit",
        pin_id,
        match_method,
        click_id,
        token_carrier: pin_id && (/#.*pinsphere=/.test(location.href) ? "fragment" : "query")
      })
    if (pin_id) {
      history.replaceState(history.state, "", cut(location.href))
      save({
        from: {
          parent_pin_id: pin_id,
          root_pin_id: root || pin_id,
          hop: root ? null : 1,
          until: Date.now() + 2592e6
        }
      })
    }
  })

  setInterval(() => {
    for (let el of document.querySelectorAll(C)) eye.observe(el.closest(L))
  }, 500)
  send()
})()

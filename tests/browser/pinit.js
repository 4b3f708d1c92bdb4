// A stand-in for the script that Pinterest gives to shops: what it was seen to do with buttons,
// images and clicks, in words of our own. It never looks at the snippet.
(() => {
  const CREATE = "https://www.pinterest.com/pin/create/";
  const GUID = "abcDEF012345";
  const BUTTON = /^(https?:)?\/\/(www\.)?pinterest\.[a-z.]+\/pin\/create\/(button|link)\/?(\?|$)/;
  const IGNORED = ["none", "ignore", "nothing"];

  const tag = (selector, name) => document.querySelector(selector)?.getAttribute(name);
  const pageUrl = () =>
    tag("meta[name='pin:url']", "content") ||
    tag("link[rel=canonical]", "href") ||
    tag("meta[name='og:url']", "content") ||
    document.URL.split("#")[0];

  const parameter = (href, name) => {
    for (const part of href.split("?").slice(1).join("?").split("&")) {
      const [key, value] = part.split("=");
      if (key === name && value) return decodeURIComponent(value);
    }
    return "";
  };

  const wanted = (element) => {
    const { pinUrl, pinMedia, pinDescription, pinId } = element.dataset;
    const href = element.getAttribute("href") || "";
    return {
      id: pinId || "",
      url: pinUrl || parameter(href, "url") || pageUrl(),
      media: pinMedia || parameter(href, "media"),
      description: pinDescription || parameter(href, "description"),
    };
  };

  const createLink = (kind, pin) => {
    let link = `${CREATE}${kind}/?guid=${GUID}-1`;
    for (const name of ["url", "media", "description"])
      if (pin[name]) link += `&${name}=${encodeURIComponent(pin[name])}`;
    return link;
  };
  const repinLink = (pin) => `https://www.pinterest.com/pin/${pin.id}/repin/x/?guid=${GUID}`;

  const buildOne = (anchor) => {
    const pin = wanted(anchor);
    const isAny = !pin.media;
    const isCustom = !!anchor.dataset.pinCustom;
    const built = isCustom ? anchor : document.createElement("span");
    const kind = pin.id ? "repin" : isAny ? "bookmarklet" : "";
    built.dataset.pinLog = kind ? `button_pinit_${kind}` : "button_pinit";
    built.dataset.pinHref = pin.id && isAny ? repinLink(pin) : createLink("button", pin);
    if (isCustom) return anchor.removeAttribute("href");
    built.innerHTML = "<i>Save</i>";
    anchor.replaceWith(built);
  };

  const build = (root = document) => {
    for (const anchor of root.querySelectorAll("a[data-pin-do^=button]")) {
      if (IGNORED.includes(anchor.dataset.pinDo)) continue;
      if (!BUTTON.test(anchor.getAttribute("href") || "")) continue;
      // Those with a counter wait for a network answer.
      if (anchor.dataset.pinConfig) setTimeout(() => buildOne(anchor), 60);
      else buildOne(anchor);
    }
  };

  const imagePin = (image) => {
    const { pinUrl, pinMedia, pinDescription, pinId } = image.dataset;
    const media = pinMedia || image.src;
    return { id: pinId, url: pinUrl || pageUrl(), media, description: pinDescription || image.alt };
  };

  // A button that floats over an image stands at the end of the body, not beside the image.
  const floating = document.createElement("span");
  const float = (image) => {
    const { left, top } = image.getBoundingClientRect();
    const pin = imagePin(image);
    floating.dataset.pinLog = "button_pinit_floating";
    floating.dataset.pinHref = pin.id ? repinLink(pin) : createLink("button", pin);
    floating.textContent = "Save";
    floating.style.cssText =
      `position:absolute;left:${left + scrollX + 10}px;top:${top + scrollY + 10}px;z-index:99`;
    document.body.append(floating);
  };

  const pick = (url) => {
    const picker = document.createElement("div");
    picker.id = "picker";
    for (const image of document.images) {
      if (image.dataset.pinNopin) continue;
      const choice = document.createElement("button");
      choice.textContent = image.alt || "image";
      const pin = { ...imagePin(image), ...(url && !image.dataset.pinUrl && { url }) };
      choice.onclick = () => openPin(createLink("bookmarklet", pin));
      picker.append(choice);
    }
    document.body.append(picker);
  };

  const openPin = (link) => window.open(link, "pin" + Date.now(), "width=750");

  document.addEventListener("click", (event) => {
    const built = event.target.closest("[data-pin-log]");
    if (!built) return;
    const { pinLog, pinHref } = built.dataset;
    if (pinLog === "button_pinit_bookmarklet") pick(parameter(pinHref, "url"));
    else openPin(pinHref);
  });

  if (window.PIN_ANY) return pick(); // loaded by a bookmarklet
  document.addEventListener("mouseover", (event) => {
    const { target } = event;
    if (target.localName === "img" && !target.dataset.pinNopin) float(target);
  });
  window.PinUtils = { build };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => build());
  else build();
})();

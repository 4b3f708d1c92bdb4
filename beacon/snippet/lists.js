// Where things stand: items, their cards, and the lists these are in.

let LIST = "[data-pinsphere-list]"
let ITEM = ":is([data-pinsphere-item],[data-product-id],[data-sku],[data-item-id])"
// The items of lists, less what a card itself contains.
let CARD = `${LIST} ${ITEM}:not(${LIST} ${ITEM} *)`

// The page that lists are counted for; each that was reported bears its mark.
let { pathname } = location

let near = (element, name) => element?.closest(`[${name}]`)?.getAttribute(name)

// In a list an element's item is its card's, never the page's.
let place = (element, url) => {
  let item = element.closest(element.closest(LIST) ? CARD : ITEM)
  return {
    item_id:
      item?.getAttribute("data-pinsphere-item") ||
      item?.getAttribute("data-product-id") ||
      item?.getAttribute("data-sku") ||
      item?.getAttribute("data-item-id") ||
      /\/\/[^?#]*\/([^/?#]{1,128})\/?(?![^?#])/.exec(url)?.[1],
    item_list_id: near(element, "data-pinsphere-list") || near(element.parentElement, "id"),
    recommender_id: near(element, "data-pinsphere-recommender"),
    index: +near(element, "data-pinsphere-index"),
  }
}

// A list counts when it is seen with items in it, once a page.
let report = (list) => {
  list.pinsphere = pathname
  push({
    event_name: "view_item_list",
    ...place(list),
    items: [...list.querySelectorAll(CARD)].map((card, number) => {
      let { item_id, index } = place(card)
      return { item_id, index: index || number }
    }),
  })
}

let eye = safe(
  () =>
    new IntersectionObserver((entries) =>
      safe(() => {
        for (let { isIntersecting, target } of entries)
          if (isIntersecting && target.pinsphere !== pathname) report(target)
      }),
    ),
)

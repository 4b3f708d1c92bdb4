// Purchases that the shop tells Google Analytics 4, by Tag Manager or gtag(), are claimed to us.

// Six decimals are exact where a sum of floats is not: 10.1 + 0.2 is 10.3 again.
let amount = (value) => "" + +(+value).toFixed(6)

// GA4's price is after the discount of one unit; ours is before the discount of the whole line.
let orderLine = ({ item_id, item_name, price, quantity = 1, discount = 0 }) => ({
  item_id: "" + (item_id || item_name),
  quantity: +quantity,
  price: amount(+price + +discount),
  discount: amount(discount * quantity),
})

// gtag() pushes its arguments: "event", "purchase", the order.
let takeOrder = (entry) => {
  let { transaction_id, currency, tax, shipping, items } =
    entry[1] === "purchase" ? entry[2] : entry.event === "purchase" && entry.ecommerce
  let { orders } = load()
  // A thank-you page that is loaded again tells its order again.
  if (!transaction_id || orders.includes(transaction_id)) return
  save({ orders: [...orders, transaction_id].slice(-20) })
  push({
    event_name: "purchase",
    order_id: "" + transaction_id,
    currency,
    tax: amount(tax || 0),
    shipping: amount(shipping || 0),
    items: items?.map(orderLine),
  })
}

// Read now and then, not wrapped: whoever else wraps its push is never in our way.
let takeOrders = () =>
  safe(() => window.dataLayer.forEach((entry) => safe(() => takeOrder(entry))))

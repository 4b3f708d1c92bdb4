// Puts figures into the reader's language, sorts tables, draws charts. Works on the pages of the
// console and on the report; without it both can be read all the same.
"use strict";

// Pixels between the margins of A4 and Letter: what is drawn for a wider window is cut off there.
const PAPER = 660;
const formats = new Map();
// Days are the shop's, so moments are as well: a pin of its evening is not one of the day after.
const clock = document.querySelector("[data-zone]");
const zone = knownZone(clock?.dataset.zone);

function knownZone(name) {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return name;
  } catch {
    return "UTC"; // a browser older than the zone's name
  }
}

function formatter(kind, currency) {
  const key = `${kind} ${currency}`;
  if (!formats.has(key)) {
    formats.set(key, makeFormatter(kind, currency));
  }
  return formats.get(key);
}

function makeFormatter(kind, currency) {
  const number = (options) => {
    const format = new Intl.NumberFormat(undefined, options);
    return (value) => format.format(Number(value));
  };
  const moment = (options) => {
    const format = new Intl.DateTimeFormat(undefined, options);
    return (value) => format.format(new Date(value));
  };
  switch (kind) {
    case "money": return number({ style: "currency", currency });
    case "amount": return number(
      { style: "currency", currency, trailingZeroDisplay: "stripIfInteger" });
    case "share": return number({ style: "percent", maximumFractionDigits: 1 });
    case "count": return number({ maximumFractionDigits: 0 });
    case "number": return number({ maximumFractionDigits: 2 });
    case "day": return moment({ dateStyle: "medium", timeZone: "UTC" });
    case "date": return moment({ day: "numeric", month: "short", timeZone: "UTC" });
    case "month": return moment({ month: "long", year: "numeric", timeZone: "UTC" });
    case "time": return moment({ dateStyle: "medium", timeStyle: "short", timeZone: zone });
    default: return String;
  }
}

function speakTheReadersLanguage() {
  for (const element of document.querySelectorAll("[data-kind]")) {
    const value = element.getAttribute("value") ?? element.getAttribute("datetime");
    element.textContent = formatter(element.dataset.kind, element.dataset.currency)(value);
  }
  if (clock) {
    clock.textContent = `, by the clock of ${zone}`; // without scripts moments say UTC themselves
  }
}

function sortValue(cell) {
  const told = cell.querySelector("[data-kind]");
  const value = told && (told.getAttribute("value") ?? told.getAttribute("datetime"));
  const number = Number(value);
  if (value !== null && value !== "" && !Number.isNaN(number)) {
    return number;
  }
  return cell.querySelector(".none") ? null : (value ?? cell.textContent.trim());
}

function compare(one, other) {
  if (one === null || other === null) {
    return (one === null) - (other === null); // what has no value comes last
  }
  return typeof one === "number" && typeof other === "number"
    ? one - other
    : String(one).localeCompare(String(other), undefined, { numeric: true });
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const isDown = head.getAttribute("aria-sort") === "descending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", isDown ? "ascending" : "descending");
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [sortValue(row.cells[place]), row]);
      rows.sort(([one], [other]) =>
        one === null || other === null || isDown ? compare(one, other) : compare(other, one));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

// All days of one shop are not those of the other: whoever chose none sees all of the other's.
function letDaysFollowTheSite() {
  const site = document.querySelector("select[name=site]");
  site?.addEventListener("change", () => {
    for (const day of site.form.querySelectorAll("[type=date]")) {
      if (day.value === (day.name === "since" ? day.min : day.max)) {
        day.value = "";
      }
    }
  });
}

// What an option cannot say as data: colours of the style sheet, formats of the reader's language.
function spellOut(value, colours, currency) {
  if (Array.isArray(value)) {
    return value.map((each) => spellOut(each, colours, currency));
  }
  if (value !== null && typeof value === "object") {
    // Data are never spelled out: a slot may be called "=money".
    return Object.fromEntries(Object.entries(value).map(
      ([name, each]) => [name, name === "data" ? each : spellOut(each, colours, currency)]));
  }
  if (typeof value === "string" && value.startsWith("--")) {
    return colours.getPropertyValue(value).trim();
  }
  if (typeof value === "string" && /^=[a-z]+$/.test(value)) {
    const format = formatter(value.slice(1), currency);
    return (given) => {
      const raw = given !== null && typeof given === "object" && !Array.isArray(given)
        ? given.value : given;
      const single = Array.isArray(raw) ? raw.at(-1) : raw;
      return single === null || single === undefined ? "–" : format(single);
    };
  }
  return value;
}

// Along an axis amounts are round, and days mostly of one year: in brief they need half the room.
function brief({ axisLabel, data }) {
  const isOneYear = data && data.at(0)?.slice(0, 4) === data.at(-1)?.slice(0, 4);
  const shorter = { "=money": "=amount", ...(isOneYear && { "=day": "=date" }) };
  const formatter = axisLabel?.formatter;
  return { ...axisLabel, ...(formatter && { formatter: shorter[formatter] ?? formatter }) };
}

function draw(element, width) {
  const option = JSON.parse(element.querySelector("script").textContent);
  const colours = getComputedStyle(document.documentElement);
  const colour = (name) => colours.getPropertyValue(name).trim();
  const picture = element.querySelector(".drawing") ?? document.createElement("div");
  picture.className = "drawing";
  picture.style.height = `${element.dataset.height}px`;
  element.append(picture);
  echarts.getInstanceByDom(picture)?.dispose();
  const chart = echarts.init(picture, null, { renderer: "svg", width });
  const axis = {
    axisLabel: { color: colour("--soft") },
    axisLine: { lineStyle: { color: colour("--grey") } },
    splitLine: { lineStyle: { color: colour("--line") } },
  };
  for (const name of ["xAxis", "yAxis"]) {
    if (option[name]) {
      option[name] = [option[name]].flat().map((each) => ({
        ...axis, ...each, axisLabel: { ...axis.axisLabel, ...brief(each) },
      }));
    }
  }
  const spelled = spellOut(option, colours, element.dataset.currency);
  chart.setOption({
    animation: false,
    backgroundColor: "transparent",
    aria: { enabled: true },
    textStyle: { fontFamily: colours.fontFamily, color: colour("--ink") },
    ...spelled,
    grid: {
      left: 4, right: 8, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all",
      top: chart.getWidth() < 480 ? 64 : 40, // on a phone the legend takes two lines
      ...spelled.grid,
    },
    legend: spelled.legend && {
      left: 0, top: 0, itemWidth: 18, itemGap: 14, textStyle: { color: colour("--ink") },
      ...spelled.legend,
    },
    // Drawn, not made of HTML: the page allows no style attributes.
    tooltip: spelled.tooltip && {
      renderMode: "richText",
      confine: true,
      backgroundColor: colour("--panel"),
      borderColor: colour("--line"),
      textStyle: { color: colour("--ink") },
      ...spelled.tooltip,
    },
  });
  picture.setAttribute("role", "img");
}

function drawCharts() {
  const elements = [...document.querySelectorAll(".chart")];
  if (elements.length === 0) {
    return;
  }
  const drawAll = (width) => elements.forEach((each) => draw(each, width));
  let drawnAt = innerWidth;
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
  addEventListener("resize", () => {
    if (innerWidth !== drawnAt) { // a phone's bars come and go: that changes the height only
      drawnAt = innerWidth;
      drawAll();
    }
  });
  addEventListener("beforeprint", () => drawAll(PAPER));
  addEventListener("afterprint", () => drawAll());
  document.documentElement.dataset.drawn = "yes";
}

speakTheReadersLanguage();
document.querySelectorAll("table.sortable").forEach(makeSortable);
letDaysFollowTheSite();
drawCharts();

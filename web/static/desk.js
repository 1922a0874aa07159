// The review desk by keyboard: fields, doubts, models' values, places in the document. Without it the form does the same
// by pointer. Nothing here makes markup: texts go into fields and text nodes, rectangles are SVG's own.
"use strict";

(() => {
  const form = /** @type {HTMLFormElement} */ (document.getElementById("desk"));
  const job = form.dataset.job;
  const told = document.getElementById("told");
  const CLAIM_EVERY_MS = 120000;
  /** @type {HTMLElement[]} */
  const fields = Array.from(form.querySelectorAll(".field"));
  let at = Math.max(0, fields.findIndex((field) => field.dataset.path === form.dataset.first));
  let leaves = false;

  /** @param {HTMLElement} field @returns {HTMLInputElement | HTMLTextAreaElement | null} */
  const input = (field) => field.querySelector("[name^='value:']");
  const current = () => fields[at];

  /** @param {string} words */
  function say(words) {
    if (told !== null) told.textContent = words;
  }

  /** Makes a field the current one, and shows where its value stands. @param {number} to */
  function go(to) {
    if (to < 0 || to >= fields.length) return;
    at = to;
    for (const field of fields) field.classList.toggle("current", field === current());
    current().focus({ preventScroll: true });
    current().scrollIntoView({ block: "center" });
    const path = current().dataset.path;
    let first = true;
    for (const place of document.querySelectorAll(".paper [data-path]")) {
      const on = place.getAttribute("data-path") === path;
      place.classList.toggle("on", on);
      if (on && first) {
        place.scrollIntoView({ block: "center", inline: "nearest" });
        first = false;
      }
    }
  }

  function nextDoubt() {
    for (let step = 1; step <= fields.length; step += 1) {
      const to = (at + step) % fields.length;
      if (fields[to].classList.contains("doubted")) return go(to);
    }
  }

  /** @param {string} text @param {string} place */
  function write(text, place = "") {
    const into = input(current());
    if (into === null) return;
    into.value = text;
    const kept = current().querySelector("[name^='place:']");
    if (kept instanceof HTMLInputElement) kept.value = place;
    say(`${current().querySelector("label")?.textContent ?? ""}: ${text}`);
    check();
  }

  /** @param {string} which */
  function take(which) {
    const said = current().querySelector(`[data-take="${which}"]`);
    if (said instanceof HTMLElement) write(said.dataset.value ?? "");
  }

  function overrule() {
    const box = current().querySelector("[name^='overrule:']");
    if (box instanceof HTMLInputElement) box.checked = !box.checked;
  }

  /** Asks the prompt's own checks about what stands in the form. */
  function check() {
    const request = new XMLHttpRequest();
    request.open("POST", `/review/${job}/check`);
    request.responseType = "json";
    request.onload = () => {
      if (request.status === 200 && request.response !== null) show(request.response);
    };
    request.send(new FormData(form));
  }

  /** @param {Record<string, string[]>} doubts */
  function show(doubts) {
    for (const field of fields) {
      const found = doubts[field.dataset.path ?? ""] ?? [];
      const where = field.querySelector(".told");
      field.classList.toggle("doubted", found.length > 0);
      const box = field.querySelector(".overrule");
      if (box instanceof HTMLElement) box.hidden = found.length === 0;
      if (where === null) continue;
      where.replaceChildren(
        ...found.map((sentence) => {
          const line = document.createElement("p");
          line.className = "doubt";
          line.textContent = sentence;
          return line;
        }),
      );
    }
    say(Object.keys(doubts).length === 0 ? "All checks pass." : `${Object.keys(doubts).length} doubts`);
  }

  /** What is selected in the document's text becomes the value, with its place. */
  function copySelection() {
    const selected = window.getSelection();
    if (selected === null || selected.rangeCount === 0 || selected.toString() === "") return;
    const range = selected.getRangeAt(0);
    const from = range.startContainer.parentElement?.closest("[data-start]");
    const text = selected.toString();
    const start = from ? Number(from.getAttribute("data-start")) + range.startOffset : NaN;
    write(text.trim(), Number.isNaN(start) ? "" : `${start}-${start + text.length}`);
  }

  const SIMPLE = {
    j: () => go(at + 1), ArrowDown: () => go(at + 1), k: () => go(at - 1), ArrowUp: () => go(at - 1),
    n: nextDoubt, 1: () => take("1"), 2: () => take("2"), 3: () => take("3"), o: overrule, c: copySelection,
    e: () => input(current())?.focus(),
    x: () => submit("reject"), u: () => submit("undo"), l: () => document.getElementById("later")?.click(),
    Enter: () => submit("save"),
  };

  /** @param {string} id */
  function submit(id) {
    const button = document.getElementById(id);
    if (button instanceof HTMLButtonElement) form.requestSubmit(button);
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || leaves) return;
    const target = /** @type {Element} */ (event.target);
    const writes = target.matches("textarea, input:not([type=checkbox])");
    if (writes && event.key === "Escape") return go(at);
    if (writes && !(event.key === "Enter" && !event.shiftKey && target.matches("[name^='value:']"))) return;
    if (target.matches("a, button, summary") && event.key === "Enter") return;
    const does = SIMPLE[/** @type {keyof typeof SIMPLE} */ (event.key)];
    if (does === undefined) return;
    event.preventDefault();
    does();
  });

  form.addEventListener("focusin", (event) => {
    const field = /** @type {Element} */ (event.target).closest(".field");
    const to = fields.findIndex((each) => each === field);
    if (to >= 0 && to !== at) {
      at = to;
      for (const each of fields) each.classList.toggle("current", each === field);
    }
  });
  form.addEventListener("change", (event) => {
    if (/** @type {Element} */ (event.target).matches("[name^='value:']")) check();
  });
  form.addEventListener("click", (event) => {
    const button = /** @type {Element} */ (event.target).closest("[data-take]");
    if (button instanceof HTMLElement) write(button.dataset.value ?? "");
  });
  form.addEventListener("submit", () => {
    leaves = true;
  });

  // Places in a page's picture: its words are asked for when somebody points at it.
  /** @typedef {[number, number, number, number, number, number, string]} Word */
  for (const [number, sheet] of Array.from(document.querySelectorAll(".sheet")).entries()) {
    /** @type {Word[]} */
    let words = [];
    /** @type {{x: number, y: number} | null} */
    let from = null;
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    drawn.setAttribute("class", "drag");
    sheet.addEventListener(
      "pointerenter",
      () => {
        const request = new XMLHttpRequest();
        request.open("GET", `/review/${job}/words/${number + 1}`);
        request.responseType = "json";
        request.onload = () => {
          if (request.status === 200 && Array.isArray(request.response)) words = request.response;
        };
        request.send();
      },
      { once: true },
    );
    /** @param {MouseEvent} event */
    const percent = (event) => {
      const box = sheet.getBoundingClientRect();
      return { x: (100 * (event.clientX - box.left)) / box.width, y: (100 * (event.clientY - box.top)) / box.height };
    };
    /** @param {Word[]} marked */
    const mark = (marked) => {
      if (marked.length === 0) return;
      const start = Math.min(...marked.map((word) => word[4]));
      const end = Math.max(...marked.map((word) => word[5]));
      write(marked.map((word) => word[6]).join(" "), `${start}-${end}`);
    };
    sheet.addEventListener("dblclick", (event) => {
      const { x, y } = percent(/** @type {MouseEvent} */ (event));
      mark(words.filter(([x0, y0, x1, y1]) => x0 <= x && x <= x1 && y0 <= y && y <= y1).slice(0, 1));
    });
    sheet.addEventListener("pointerdown", (event) => {
      from = percent(/** @type {MouseEvent} */ (event));
      event.preventDefault();
    });
    sheet.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = percent(/** @type {MouseEvent} */ (event));
      drawn.setAttribute("x", String(Math.min(from.x, to.x)));
      drawn.setAttribute("y", String(Math.min(from.y, to.y)));
      drawn.setAttribute("width", String(Math.abs(from.x - to.x)));
      drawn.setAttribute("height", String(Math.abs(from.y - to.y)));
      sheet.querySelector("svg")?.append(drawn);
    });
    sheet.addEventListener("pointerup", (event) => {
      const begun = from;
      const to = percent(/** @type {MouseEvent} */ (event));
      from = null;
      drawn.remove();
      if (begun === null || Math.abs(begun.x - to.x) + Math.abs(begun.y - to.y) < 1) return;
      const [left, right] = [Math.min(begun.x, to.x), Math.max(begun.x, to.x)];
      const [top, bottom] = [Math.min(begun.y, to.y), Math.max(begun.y, to.y)];
      mark(
        words.filter(([x0, y0, x1, y1]) => {
          const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
          return left <= x && x <= right && top <= y && y <= bottom;
        }),
      );
    });
  }
  for (const place of document.querySelectorAll(".paper [data-path]")) {
    place.addEventListener("click", (event) => {
      event.preventDefault();
      go(fields.findIndex((field) => field.dataset.path === place.getAttribute("data-path")));
    });
  }

  window.addEventListener("pagehide", () => {
    if (!leaves) navigator.sendBeacon(`/review/${job}/release`);
  });
  window.setInterval(() => {
    if (document.hidden || leaves) return;
    const request = new XMLHttpRequest();
    request.open("POST", `/review/${job}/claim`);
    request.send();
  }, CLAIM_EVERY_MS);

  for (const hidden of form.querySelectorAll(".keys, [data-take]")) hidden.removeAttribute("hidden");
  go(at);
})();

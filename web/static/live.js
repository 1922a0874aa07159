// Regions marked data-live are taken anew from the page's own address every few seconds. Nothing is made of strings:
// the browser reads the answer as a document that runs nothing, and whole regions of it take the place of old ones.
"use strict";

(() => {
  const EVERY_MS = 5000;
  const SAVES_DATA = window.matchMedia("(prefers-reduced-data: reduce)").matches;

  /** What tells an element again in a region that took another's place. @param {Element} element */
  function sign(element) {
    return element.id || element.getAttribute("href") || element.getAttribute("name") || element.textContent;
  }

  /** Whether somebody is writing, or has chosen something, in the region. @param {Element} region */
  function isBusy(region) {
    const active = document.activeElement;
    const writes = active !== null && region.contains(active) && active.matches("input, select, textarea");
    return writes || region.querySelector("input:checked, details[open]") !== null;
  }

  /** @param {Element} region @param {Element} fresh */
  function replace(region, fresh) {
    const active = document.activeElement;
    const focused = active !== null && region.contains(active) ? sign(active) : null;
    const taken = /** @type {Element} */ (document.adoptNode(fresh));
    region.replaceWith(taken);
    if (focused === null) return;
    for (const each of taken.querySelectorAll("a, button, [tabindex]")) {
      if (sign(each) === focused && each instanceof HTMLElement) return each.focus({ preventScroll: true });
    }
  }

  /** @param {Document} page */
  function take(page) {
    const before = done(document);
    for (const region of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(region.id);
      if (fresh !== null && !fresh.isEqualNode(region) && !isBusy(region)) replace(region, fresh);
    }
    const more = done(document) - before;
    const told = document.getElementById("told");
    if (told !== null && more > 0) told.textContent = `${more} more done`;
  }

  /** @param {Document} page */
  function done(page) {
    return Number(page.querySelector("[data-done]")?.getAttribute("data-done") ?? 0);
  }

  function ask() {
    if (document.hidden) return wait();
    const request = new XMLHttpRequest();
    request.open("GET", window.location.href);
    request.responseType = "document";
    request.timeout = 4 * EVERY_MS;
    request.onload = () => {
      if (request.status === 200 && request.response !== null) take(request.response);
    };
    request.onloadend = wait;
    request.send();
  }

  function wait() {
    window.setTimeout(ask, EVERY_MS);
  }

  if (!SAVES_DATA) wait();
})();

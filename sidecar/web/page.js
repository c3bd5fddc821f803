// Loads the page again every half minute, and replaces what has changed. Without this script the page is the same, until
// it is loaded again by hand. Nothing is replaced while somebody types or has selected text.
"use strict";

const INTERVAL_MS = 30_000;

function isBusy() {
  const typed = [...document.querySelectorAll("main input:not([type=hidden])")].some(field => field.value !== field.defaultValue);
  const focused = document.querySelector("main").contains(document.activeElement);
  return document.hidden || typed || focused || !getSelection().isCollapsed;
}

async function refresh() {
  if (isBusy()) return;
  let answer;
  try {
    answer = await fetch(location.href, { cache: "no-store" });
  } catch {
    answer = null;
  }
  const state = document.getElementById("state");
  if (!answer?.ok) {
    state.textContent = "wp-sidecar does not answer; this page is old";
    state.className = "ill";
    return;
  }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const top = scrollY;
  for (const part of ["main", "footer", "#account"]) {
    document.querySelector(part).replaceWith(fresh.querySelector(part));
  }
  const fetched = fresh.getElementById("state");
  if (state.textContent !== fetched.textContent) state.textContent = fetched.textContent;
  state.className = fetched.className;
  document.title = fresh.title;
  scrollTo({ top, behavior: "instant" });
}

setInterval(refresh, INTERVAL_MS);

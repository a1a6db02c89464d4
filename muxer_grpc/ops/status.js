// Keeps the page fresh: fetches it again every two seconds and takes over what differs, in place, so that a selection,
// the focus and the position stay. The server alone says how anything is written, and has escaped it.
"use strict";

(() => {
  const INTERVAL = 2000;
  const PATIENCE = 5000;

  const takeOver = (shown, fresh) => {
    if (shown.nodeType !== fresh.nodeType || shown.nodeName !== fresh.nodeName) {
      shown.replaceWith(fresh);
      return;
    }
    if (shown.nodeType === Node.TEXT_NODE) {
      if (shown.data !== fresh.data) shown.data = fresh.data;
      return;
    }
    for (const { name } of [...shown.attributes]) if (!fresh.hasAttribute(name)) shown.removeAttribute(name);
    for (const { name, value } of fresh.attributes) {
      if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
    }
    const parts = [...fresh.childNodes];
    parts.forEach((part, at) => (at < shown.childNodes.length ? takeOver(shown.childNodes[at], part) : shown.append(part)));
    while (shown.childNodes.length > parts.length) shown.lastChild.remove();
  };

  const refresh = async () => {
    const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    // Both are there on every page of ours; anything else is not taken over.
    for (const part of ["header", "main"]) takeOver(document.querySelector(part), fresh.querySelector(part));
    document.body.classList.remove("old");
  };

  const sayOld = () => {
    if (document.body.classList.contains("old")) return;
    document.body.classList.add("old");
    const state = document.getElementById("state");
    const since = document.querySelector("#as-of time").textContent;
    state.className = "bad";
    state.textContent = `■ Not reachable: these are the figures of ${since}`;
  };

  const turn = async () => {
    if (!document.hidden) await refresh().catch(sayOld);
    setTimeout(turn, INTERVAL);
  };

  setTimeout(turn, INTERVAL);
  document.addEventListener("visibilitychange", () => !document.hidden && refresh().catch(sayOld));
})();

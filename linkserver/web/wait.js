
(() => {
  // Three minutes, or sooner where what is shown ends sooner, as the page's button would be pressed. The agent is asked once a minute
  // at the most, whoever asks.
  const after = page => Number(page.querySelector("script[data-after]")?.dataset.after) || 180000;
  let every = after(document), timer;
  const plan = () => {
    clearInterval(timer);
    timer = setInterval(look, every);
  };
  const control = "input:not([type=hidden]), textarea, select";
  let last = Date.now(), busy = false;
  const said = document.createElement("p");
  said.setAttribute("role", "status");
  said.style.cssText = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)";
  document.body.append(said);
  // Nothing is exchanged under somebody's fingers.
  const typing = () => document.activeElement?.matches(control) || [...document.querySelectorAll(control)].some(c =>
    c.type === "radio" || c.type === "checkbox" ? c.checked !== c.defaultChecked : c.value !== c.defaultValue);
  const same = e => [e.tagName, e.getAttribute("href"), e.closest("form")?.getAttribute("action"), e.getAttribute("name")].join();
  const exchange = next => {
    const main = document.querySelector("main"), to = next.querySelector("main");
    if (!main || !to || main.innerHTML === to.innerHTML) return;
    const had = document.activeElement, inside = main.contains(had) ? same(had) : "";
    const heading = document.querySelector("h1")?.textContent;
    main.replaceChildren(...[...to.childNodes].map(n => document.adoptNode(n)));
    document.title = next.title;
    if (inside) [...main.querySelectorAll("a, button, [tabindex]")].find(e => same(e) === inside)?.focus({preventScroll: true});
    const now = document.querySelector("h1")?.textContent;
    if (now !== heading) said.textContent = now;
  };
  const look = async () => {
    const form = document.querySelector('form[action$="/state"]');
    if (busy || !form || document.hidden || typing() || Date.now() - last < every - 1000) return;
    busy = true;
    last = Date.now();
    try {
      const answer = await fetch(form.getAttribute("action") + "?reload", {method: "POST", body: new URLSearchParams(new FormData(form))});
      if (answer.status === 403) return location.reload(); // the session is over: nothing stays on a phone that was laid aside
      if (!answer.ok) return;
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (next.querySelector('form[action$="/redirect"]')) return location.reload(); // it leads to where this page may not
      if (!typing()) exchange(next);
      if (every !== after(next)) {
        every = after(next);
        plan();
      }
    } catch { // no signal: what is shown stays
    } finally {
      busy = false;
    }
  };
  plan();
  document.addEventListener("visibilitychange", look);
})();

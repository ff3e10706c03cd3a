// The console works without this file. It adds: parts that change by themselves, the meter of an SMS text, progress of an
// upload, and small comforts. It never builds HTML from anything but the server's own pages.
"use strict";
(() => {
  const live = document.querySelector("[data-live]");
  if (live && window.EventSource) {
    const url = new URL(location.href);
    url.searchParams.delete("note");
    let source;
    const open = () => {
      source = new EventSource(url);
      source.addEventListener("part", (e) => {
        const at = document.activeElement, id = at && live.contains(at) ? at.id || at.getAttribute("href") : "";
        if (at && live.contains(at) && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName)) return; // somebody is typing there
        const opened = [...live.querySelectorAll("details[open][id]")].map((d) => d.id);
        live.innerHTML = e.data;
        opened.forEach((d) => { const el = document.getElementById(d); if (el) el.open = true; });
        if (id) {
          const again = [...live.querySelectorAll("a,button,summary")].find((el) => el.id === id || el.getAttribute("href") === id);
          if (again) again.focus({ preventScroll: true });
        }
      });
      source.addEventListener("gone", () => { source.close(); location.reload(); });
    };
    open();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) source.close(); else { source.close(); open(); }
    });
  }

  // menus close when something else is clicked
  document.addEventListener("click", (e) => {
    document.querySelectorAll("details.menu[open]").forEach((d) => { if (!d.contains(e.target)) d.open = false; });
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape") document.querySelectorAll("details.menu[open]").forEach((d) => { d.open = false; });
  });

  // a form is sent once
  document.addEventListener("submit", (e) => {
    const f = e.target;
    if (f.method !== "post" || f.hasAttribute("data-download")) return;
    if (f.dataset.sent) { e.preventDefault(); return; }
    const question = e.submitter && e.submitter.dataset.confirm;
    if (question && !window.confirm(question)) { e.preventDefault(); return; }
    if (!e.defaultPrevented && !(e.submitter && e.submitter.hasAttribute("formaction")) && !/export|answers|faults|receipt/.test(f.action)) {
      f.dataset.sent = "1";
      setTimeout(() => { delete f.dataset.sent; }, 8000);
    }
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((f) => { delete f.dataset.sent; }));

  // length of an SMS text: UTF-16 units, the link counted as it will be
  const text = document.querySelector("[data-meter]");
  if (text) {
    const meter = document.getElementById("meter");
    const show = () => {
      let t = text.value.replace(/\r\n?/g, "\n"), link = Number(text.dataset.link);
      const units = t.split("{url}").join("").length + (t.includes("{url}") ? link : 0);
      const parts = units <= 70 ? 1 : Math.ceil(units / 67), most = Number(text.dataset.parts);
      const room = most <= 1 ? 70 : most * 67;
      meter.textContent = meter.dataset.words.replace("%u", units).replace("%r", room).replace("%p", parts);
      meter.classList.toggle("over", units > room);
    };
    text.addEventListener("input", show);
    show();
    const pick = document.querySelector("[data-insert-url]");
    if (pick) {
      pick.hidden = false;
      pick.addEventListener("click", () => {
        if (text.value.includes("{url}")) return;
        text.setRangeText("{url}", text.selectionStart, text.selectionEnd, "end");
        text.focus();
        show();
      });
    }
  }

  // rows that are added when they are needed
  document.querySelectorAll("[data-grow]").forEach((box) => {
    const rows = [...box.querySelectorAll("[data-row]")];
    const more = box.querySelector("[data-more]");
    const filled = (r) => [...r.querySelectorAll("input,textarea")].some((i) => i.type === "checkbox" ? i.checked : i.value);
    let shown = Math.max(Number(box.dataset.grow), rows.findLastIndex(filled) + 1);
    const draw = () => {
      rows.forEach((r, i) => { r.hidden = i >= shown; });
      more.hidden = shown >= rows.length;
    };
    more.addEventListener("click", () => { shown = Math.min(shown + 3, rows.length); draw(); rows[shown - 1].querySelector("input").focus(); });
    draw();
  });

  // upload with progress
  const drop = document.querySelector("form[data-upload]");
  if (drop) {
    const file = drop.querySelector("input[type=file]"), name = drop.querySelector("[data-name]"), bar = drop.querySelector("progress"), say = drop.querySelector("[data-say]");
    const chosen = () => { name.textContent = [...file.files].map((f) => `${f.name} (${(f.size / 1048576).toFixed(1)} MB)`).join("  "); };
    file.addEventListener("change", chosen);
    ["dragenter", "dragover"].forEach((n) => drop.addEventListener(n, (e) => { e.preventDefault(); drop.classList.add("over"); }));
    ["dragleave", "drop"].forEach((n) => drop.addEventListener(n, (e) => { e.preventDefault(); drop.classList.remove("over"); }));
    drop.addEventListener("drop", (e) => { if (e.dataTransfer.files.length) { file.files = e.dataTransfer.files; chosen(); } });
    drop.addEventListener("submit", (e) => {
      e.preventDefault();
      const x = new XMLHttpRequest();
      x.open("POST", drop.action);
      x.upload.addEventListener("progress", (p) => { bar.hidden = false; bar.max = p.total; bar.value = p.loaded; });
      x.addEventListener("load", () => {
        if (x.responseURL && x.status === 200 && x.responseURL !== drop.action) { location.href = x.responseURL; return; }
        const page = new DOMParser().parseFromString(x.responseText, "text/html");
        const fault = page.querySelector("main .fault, main h1");
        say.textContent = fault ? fault.textContent : say.dataset.say;
        say.hidden = false; bar.hidden = true; delete drop.dataset.sent;
      });
      x.addEventListener("error", () => { say.textContent = say.dataset.say; say.hidden = false; bar.hidden = true; delete drop.dataset.sent; });
      x.send(new FormData(drop));
    });
  }

  document.querySelectorAll("[data-copy]").forEach((b) => {
    if (!navigator.clipboard) return;
    b.hidden = false;
    b.addEventListener("click", () => navigator.clipboard.writeText(document.getElementById(b.dataset.copy).textContent).then(() => { b.textContent = b.dataset.done; }));
  });
})();

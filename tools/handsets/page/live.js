// Renews the part #live of the page when the server says that it changed.
(() => {
  const url = document.body.dataset.events;
  const atEnd = () => { const t = document.querySelector('.talk'); if (t) t.scrollTop = t.scrollHeight; };
  atEnd();
  if (!url || !window.EventSource) return;
  let busy = false, again = false;
  const renew = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const html = await (await fetch(location.href)).text();
      const next = new DOMParser().parseFromString(html, 'text/html').getElementById('live');
      if (next) { document.getElementById('live').replaceWith(next); atEnd(); }
    } catch (e) { /* the next event or reconnection tries again */ }
    setTimeout(() => { busy = false; if (again) { again = false; renew(); } }, 300);
  };
  const source = new EventSource(url);
  let opened = false;
  source.onopen = () => { if (opened) renew(); opened = true; };
  source.onmessage = renew;
})();

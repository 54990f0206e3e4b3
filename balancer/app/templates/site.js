// A part with data-live="SECONDS" is fetched again until the page no longer asks for it.
const live = document.querySelector("[data-live]");
if (live) {
  const seconds = Number(live.dataset.live);
  const renew = async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.querySelector("[data-live]");
      if (!next) { location.reload(); return; }
      if (next.innerHTML !== live.innerHTML) live.innerHTML = next.innerHTML;
    } catch { /* the server is busy or gone; the next round asks again */ }
    setTimeout(renew, 1000 * seconds);
  };
  setTimeout(renew, 1000 * seconds);
}

// One key per answer.
const trial = document.querySelector("form[data-keys]");
if (trial) {
  const image = trial.querySelector("img");
  let sent = false;
  trial.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    sent = true;
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || !image.complete) return;
    const button = trial.querySelector(`button[value="${CSS.escape(event.key)}"]`);
    if (button) { event.preventDefault(); trial.requestSubmit(button); }
  });
}

// A form that takes long to send says so, and is sent once.
const slow = document.querySelector("form[data-busy]");
if (slow) slow.addEventListener("submit", () => {
  const button = slow.querySelector("button[type=submit]");
  button.textContent = `${slow.dataset.busy} ...`;
  setTimeout(() => { button.disabled = true; });
});

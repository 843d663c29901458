// Runs before anything is drawn: the theme, and the few things that only a browser can do.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const wish = () => localStorage.getItem("ossature.theme") || "auto";
  const dark = () => (wish() === "auto" ? system.matches : wish() === "dark");
  const show = () => {
    root.dataset.theme = dark() ? "dark" : "light";
    if (window.Quasar) Quasar.Dark.set(dark());
  };
  const cookie = (name) => document.cookie.split("; ").find((c) => c.startsWith(name + "="))?.slice(name.length + 1) || "";
  const heard = async (answer, started) => {
    const text = await answer.text();
    return {
      status: answer.status, ms: Math.round(performance.now() - started), bytes: new TextEncoder().encode(text).length,
      text: text.slice(0, 200000), headers: Object.fromEntries(answer.headers.entries()),
    };
  };
  const call = async (method, path, body, headers = {}) => {
    const started = performance.now();
    const proof = method === "GET" ? {} : { "X-CSRF-Token": cookie("ossature_csrf") };
    const typed = body === undefined || body === null ? {} : { "Content-Type": "application/json" };
    const answer = await fetch(path, {
      method, headers: { Accept: "application/json", ...proof, ...typed, ...headers },
      body: typed["Content-Type"] ? JSON.stringify(body) : undefined, credentials: "same-origin",
    });
    return { answer, started };
  };
  window.ossature = {
    dark,
    dress(next) {
      localStorage.setItem("ossature.theme", next);
      show();
    },
    // The next theme: as the system, light, dark.
    turn(button) {
      const next = { auto: "light", light: "dark", dark: "auto" }[wish()];
      ossature.dress(next);
      button.textContent = button.dataset[next];
    },
    cookie,
    async call(method, path, body, headers) {
      const { answer, started } = await call(method, path, body, headers);
      return heard(answer, started);
    },
    // Sends the file that is chosen in a field, as it is; nothing when none is.
    async send(id, path, type, query) {
      const file = document.getElementById(id).files[0];
      if (!file) return null;
      const started = performance.now();
      const answer = await fetch(`${path}?${new URLSearchParams({ name: file.name, ...query })}`, {
        method: "POST", credentials: "same-origin", body: file,
        headers: { Accept: "application/json", "Content-Type": type, "X-CSRF-Token": cookie("ossature_csrf") },
      });
      return heard(answer, started);
    },
    // Writes a streamed answer (server-sent events of the OpenAI form) into an element as it comes.
    async tell(id, path, body) {
      const place = document.getElementById(id);
      const { answer, started } = await call("POST", path, { ...body, stream: true }, { Accept: "text/event-stream" });
      const told = { status: answer.status, text: "", model: "", first_ms: 0, ms: 0, usage: null, problem: null };
      if (!answer.ok || !answer.body) {
        told.problem = await answer.text();
        return told;
      }
      place.classList.add("o-writing");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) {
          if (!line.startsWith("data:") || line.includes("[DONE]")) continue;
          const event = JSON.parse(line.slice(5));
          told.model = event.model || told.model;
          told.usage = event.usage || told.usage;
          if (event.error) told.problem = JSON.stringify(event.error);
          const piece = event.choices?.[0]?.delta?.content || "";
          if (piece && !told.first_ms) told.first_ms = Math.round(performance.now() - started);
          told.text += piece;
        }
        place.textContent = told.text;
        place.parentElement.scrollTop = place.parentElement.scrollHeight;
      }
      place.classList.remove("o-writing");
      told.ms = Math.round(performance.now() - started);
      return told;
    },
    // Whether a part of the page is looked at, but not in anybody's hands: then it may be drawn anew.
    idle(id) {
      const part = document.getElementById(id);
      if (!part || document.hidden) return false;
      const held = document.activeElement;
      const marked = getSelection();
      const inUse = part.contains(held) && held.matches(":focus-visible");
      return !inUse && !(marked && !marked.isCollapsed && part.contains(marked.anchorNode));
    },
    // Say everything in another language: noted for this browser, and for the account of who is signed in with one.
    async speak(code) {
      document.cookie = `ossature_language=${code}; path=/console; max-age=31536000; samesite=lax`;
      if (cookie("ossature_csrf")) await call("PUT", "/v1/auth/users/me/language", { language: code });
      location.reload();
    },
    async leave() {
      await call("POST", "/v1/auth/logout");
      location.href = "/console/sign-in";
    },
    // The menu of a narrow screen: a drawer over the page, which is out of reach meanwhile.
    menu(open = !document.querySelector(".o-side").classList.contains("o-open")) {
      const side = document.querySelector(".o-side");
      const button = side.querySelector(".o-burger");
      side.classList.toggle("o-open", open);
      button.setAttribute("aria-expanded", String(open));
      document.getElementById("content").inert = open;
      (open ? side.querySelector(".o-menu a") : button).focus();
    },
  };
  if (root.lang === "he") root.dir = "rtl"; // the toolkit says so only once its script is there
  const opened = () => document.querySelector(".o-side.o-open");
  addEventListener("keydown", (event) => event.key === "Escape" && opened() && ossature.menu(false));
  addEventListener("click", (event) => opened() && !event.target.closest(".o-drawer, .o-burger") && ossature.menu(false));
  system.addEventListener("change", show);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && cookie("ossature_zone") !== zone) document.cookie = `ossature_zone=${zone}; path=/console; max-age=31536000; samesite=lax`;
  show();
})();

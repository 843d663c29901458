// The command palette: Ctrl-K or Cmd-K opens it, the arrows walk through what was found, Enter takes it.
(() => {
  const options = () => [...document.querySelectorAll("#palette-list [role=option]")];
  const choose = (field, option) => {
    for (const one of options()) one.setAttribute("aria-selected", String(one === option));
    field.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  };
  // What was found may still be that of a shorter text: then the newest is waited for, two seconds at most.
  const take = (field, tries) => {
    const list = document.getElementById("palette-list");
    if (list && list.dataset.for !== field.value && tries) return void setTimeout(() => take(field, tries - 1), 50);
    (options().find((one) => one.getAttribute("aria-selected") === "true") || options()[0])?.click();
  };
  window.ossature.walk = (event) => {
    const all = options();
    const now = all.findIndex((one) => one.getAttribute("aria-selected") === "true");
    const next = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "Escape") event.target.blur(); // it closes; the shortcut may open it again at once
    if (event.key === "Enter") {
      event.preventDefault();
      take(event.target, 40);
    } else if (next !== undefined && all.length) {
      event.preventDefault();
      choose(event.target, all[(next + all.length) % all.length]);
    }
  };
  // Another tenant or project: remembered for the next time that somebody signs in here.
  window.ossature.settle = (tenant, project) => {
    localStorage.setItem("ossature.place", JSON.stringify({ tenant, project }));
    location.href = "/console/";
  };
  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.key.toLowerCase() !== "k") return;
    const opener = document.getElementById("palette-open");
    if (!opener) return;
    event.preventDefault();
    if (document.activeElement?.id !== "palette-field") opener.click();
  });
})();

const forms = {};
for (const name of ["password", "key", "code", "forgotten"]) forms[name] = document.getElementById(`by-${name}`);
const fault = document.getElementById("fault");
const sent = document.getElementById("sent");
const next = new URLSearchParams(location.search).get("next") || "";
const goal = /^\/console\/[^/\\]/.test(next) ? next : "/console/";

function show(which) {
  for (const [name, form] of Object.entries(forms)) form.hidden = name !== which;
  forms[which].querySelector("input").focus();
  fault.hidden = sent.hidden = true;
}

function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

// Back to the tenant and project that this browser was in last; who may no longer be there stays where they are.
async function settle(tenant) {
  const place = JSON.parse(localStorage.getItem("ossature.place") || "null");
  if (place && (place.project || place.tenant !== tenant?.slug)) await ossature.call("POST", "/v1/auth/switch", place);
}

async function go(text) {
  await settle(JSON.parse(text).tenant);
  location.href = goal;
}

async function enter(form, path, body, headers, done = go) {
  const button = form.querySelector("button");
  button.disabled = true;
  fault.hidden = true;
  try {
    const { status, text } = await ossature.call("POST", path, body, headers);
    if (status < 300) {
      await done(text);
      return;
    }
    const problem = JSON.parse(text);
    button.disabled = false;
    if (problem.type.endsWith("/second-factor-needed")) {
      forms.code.reset();
      show("code");
      return;
    }
    const wait = problem.retry_after_s ? ` ${fault.dataset.wait.replace("{s}", Math.ceil(problem.retry_after_s))}` : "";
    const wrong = (problem.errors || []).map((one) => one.message).join(" ");
    fault.textContent = [sentence(problem.detail || problem.title), wrong].filter(Boolean).join(" ") + wait;
  } catch {
    fault.textContent = fault.dataset.away;
  }
  fault.hidden = false;
  button.disabled = false;
}

// With a second factor the password is sent again, together with the code: nothing in between has to be kept.
function signIn(form, more) {
  const said = new FormData(forms.password);
  enter(form, "/v1/auth/login", { email: said.get("email"), password: said.get("password"), cookie: true, ...more });
}

forms.password.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(forms.password);
});
forms.code.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(forms.code, { code: new FormData(forms.code).get("code").trim() });
});
forms.forgotten.addEventListener("submit", (event) => {
  event.preventDefault();
  const email = new FormData(forms.forgotten).get("email");
  enter(forms.forgotten, "/v1/auth/password/forgot", { email }, undefined, () => {
    show("password");
    forms.forgotten.querySelector("button").disabled = false;
    sent.textContent = forms.forgotten.dataset.sent;
    sent.hidden = false;
  });
});
forms.key.addEventListener("submit", (event) => {
  event.preventDefault();
  const key = new FormData(forms.key).get("key").trim();
  enter(forms.key, "/v1/auth/console", undefined, { Authorization: `Bearer ${key}` });
});
for (const link of document.querySelectorAll("[data-show]")) link.addEventListener("click", () => show(link.dataset.show));
document.getElementById("language").addEventListener("change", (event) => ossature.speak(event.target.value));
show("password");

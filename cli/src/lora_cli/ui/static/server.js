// The process that serves this page. Every address is relative: the page's own begins with the token.

class Refused extends Error {
  constructor({ code, message, then }) {
    super(message);
    this.code = code;
    this.then = then;
  }
}

export async function get(path) {
  return answered(await reached(path));
}

export async function post(path, body) {
  return answered(await reached(path, sending(body)));
}

// The events of an answer, each as soon as it arrives.
export async function* stream(path, body, signal) {
  const response = await reached(path, { ...sending(body), signal });
  if (!response.ok) await answered(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const [kind, data] = event.split("\n");
      yield { kind: kind.slice("event: ".length), data: JSON.parse(data.slice("data: ".length)) };
    }
  }
}

// States as the process tells them; the browser connects again by itself.
export function listen(told, connected) {
  const source = new EventSource("events");
  source.addEventListener("open", () => connected(true));
  source.addEventListener("error", () => connected(false));
  source.addEventListener("state", (event) => told(JSON.parse(event.data)));
}

async function reached(path, how) {
  try {
    return await fetch(path, how);
  } catch (error) {
    // A browser says no more than that it failed.
    if (error.name === "AbortError") throw error;
    throw new Refused({ code: "Unreachable", message: "is the command that serves this page still running?" });
  }
}

function sending(body) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

async function answered(response) {
  const type = response.headers.get("Content-Type") ?? "";
  const body = type.startsWith("application/json") ? await response.json() : { message: await response.text() };
  if (!response.ok) throw new Refused(body);
  return body;
}

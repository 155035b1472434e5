// The HTTP API, asked as any program would.

/** What was asked for was not done: problem details as RFC 9457 has them. */
export class Problem extends Error {
  /** @param {{status: number, title?: string, detail?: string, state?: string, errors?: Array}} told */
  constructor(told) {
    super(told.detail || told.title || `The server answered ${told.status}`);
    this.status = told.status;
    this.state = told.state ?? null;
    this.errors = told.errors ?? [];
  }

  /** Whether it may go by itself: the server, or what it needs, is away. */
  get passes() {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

const AWAY = "The server cannot be reached";
const BROKEN = "The answer of the server broke off";
const PATIENCE_MS = 30_000; // what only asks can be asked again

/** What stands at an address. Raises `Problem`. */
export function get(path, patience_ms = PATIENCE_MS) {
  return ask(path, { signal: AbortSignal.timeout(patience_ms) });
}

/** Send a request that changes something. Raises `Problem`. */
export function post(path, body = {}) {
  return ask(path, sending(body));
}

/** Have something made: `made`, and whether it `existed`. Raises `Problem`. */
export async function create(path, body) {
  const response = await answered(path, sending(body));
  return { made: await whole(response.json()), existed: response.status === 200 };
}

/** Have something removed; null once it is gone. Raises `Problem`. */
export function remove(path) {
  return ask(path, { method: "DELETE" });
}

/** The text at an address. Raises `Problem`. */
export async function getText(path) {
  const response = await answered(path, { signal: AbortSignal.timeout(PATIENCE_MS) });
  return whole(response.text());
}

/** An address with a query, without what says nothing. */
export function address(path, query) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") words.append(name, one);
  }
  return words.size ? `${path}?${words}` : path;
}

async function ask(path, how) {
  const response = await answered(path, how);
  return response.status === 204 ? null : whole(response.json());
}

function sending(body) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

async function answered(path, how) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", headers: { Accept: "application/json" }, ...how });
  } catch (error) {
    throw new Problem({ status: 0, detail: AWAY });
  }
  if (response.ok) return response;
  if (response.status === 401 && !path.startsWith("/login")) toLogin();
  throw new Problem({ ...(await told(response)), status: response.status });
}

/** What is read of an answer. A server that dies in the midst of it leaves no more than one that is away. */
async function whole(reading) {
  try {
    return await reading;
  } catch (error) {
    throw new Problem({ status: 0, detail: BROKEN });
  }
}

async function told(response) {
  try {
    return await response.json();
  } catch (error) {
    return {};
  }
}

/** Go and log in, and come back here. */
export function toLogin() {
  location.assign(address("/login", { next: location.pathname + location.search }));
}

// Requests to the service. The API key is in this module's memory, and in no URL or storage.

let key = null;

/** A problem of the page itself: another body than those of the service. */
export const UNEXPECTED = "unexpected-response";

/** A problem of the page itself: a file that the browser cannot read. */
export const UNREADABLE = "unreadable-file";

/** A request that failed: a problem (RFC 9457), or status 0 if there was no response. */
export class ServiceError extends Error {
  constructor(status, problem, retryAfter, role = null) {
    super(problem.detail ?? problem.title ?? "no response");
    this.status = status;
    this.slug = String(problem.type ?? "").split("/").pop();
    this.retryAfter = retryAfter;
    this.role = role;
  }
}

export const hasKey = () => key !== null;

/** Use a key for all further requests; null: none. */
export function setKey(text) {
  key = text;
}

/** Send a request and return the response; a ServiceError for every status but 2xx. */
export async function send(path, { method = "GET", body, headers = {}, signal } = {}) {
  const sent = key === null ? headers : { ...headers, Authorization: `Bearer ${key}` };
  let response;
  try {
    response = await fetch(path, {
      method, body, signal, headers: sent,
      cache: "no-store", credentials: "omit", redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError(0, await isReadable(body) ? {} : { type: UNREADABLE }, null);
  }
  if (response.ok) return response;
  // A proxy sends a page of its own.
  const problem = await objectOf(response).catch(() => ({}));
  const role = /scope="([^"]+)"/.exec(response.headers.get("WWW-Authenticate") ?? "")?.[1];
  throw new ServiceError(response.status, problem, retryAfter(response), role);
}

/** Send a request, and return the object in its response. */
export const sendForObject = async (path, options) => objectOf(await send(path, options));

/** Fetch a file of the page itself, which needs no key. */
export async function asset(file) {
  // An image is shown before it is fetched: the copy that is shown is at hand, and valid.
  const cache = file.endsWith(".png") ? "force-cache" : "default";
  const response = await fetch(`playground/${file}`, { credentials: "omit", cache }).catch(() => null);
  if (!response?.ok) throw new ServiceError(response?.status ?? 0, {}, null);
  return response;
}

/** Fetch a file of the page, and return the object in it. */
export const assetObject = async (file) => objectOf(await asset(file));

/** Return the object in a body; a ServiceError if there is none, or if the connection ends in it. */
async function objectOf(response) {
  let found = null;
  try {
    found = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (!(error instanceof SyntaxError)) throw new ServiceError(0, {}, null);
  }
  if (found === null || typeof found !== "object") throw new ServiceError(response.status, { type: UNEXPECTED }, null);
  return found;
}

/** Whether the browser can read a body: not a folder, and no file that was moved or changed. */
async function isReadable(body) {
  if (!(body instanceof Blob)) return true;
  return body.slice(0, 1).arrayBuffer().then(() => true, () => false);
}

/** The seconds in Retry-After, or until its date; null: there is none. */
function retryAfter(response) {
  const text = response.headers.get("Retry-After") ?? "";
  const seconds = /^\d+$/.test(text) ? Number(text) : Math.ceil((Date.parse(text) - Date.now()) / 1000);
  return seconds >= 0 ? seconds : null;
}

/** The path of a model, relative to the page, so that a proxy may add a prefix. */
export function modelPath({ name, version }, action) {
  return `models/${encodeURIComponent(name)}/versions/${encodeURIComponent(version)}/${action}`;
}

/** Send an encoded image to an action of a model, and return the parsed response. */
export async function sendImage(model, action, blob, signal) {
  const type = ["image/jpeg", "image/webp"].includes(blob.type) ? blob.type : "image/png";
  const headers = { "Content-Type": type };
  return sendForObject(modelPath(model, action), { method: "POST", body: blob, headers, signal });
}

/** Send raw pixels, n images of height x width x 3 bytes. */
export async function sendPixels(model, action, pixels, [n, height, width]) {
  const headers = {
    "Content-Type": "application/octet-stream",
    "X-Shape": `${n},${height},${width},3`,
  };
  return sendForObject(modelPath(model, action), { method: "POST", body: pixels, headers });
}

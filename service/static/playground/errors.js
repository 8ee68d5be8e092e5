// Errors as a person understands them: what is wrong, and what to do.

import { ServiceError, UNEXPECTED, UNREADABLE } from "./api.js";
import { byId, el } from "./dom.js";

const TEXTS = {
  "undecodable-image": ["This is not a picture that can be read", "Choose a JPEG, PNG or WebP file that opens in other programs."],
  "unsupported-image": ["This kind of picture is not supported", "Choose a still picture, as JPEG, PNG or WebP."],
  "unsupported-content": ["This kind of file is not supported", "Choose a JPEG, PNG or WebP picture."],
  "image-too-large": ["The picture has too many pixels", "Choose a smaller picture, or scale it down."],
  "body-too-large": ["The file is too large", "Choose a smaller file."],
  "key-missing": ["An API key is needed", "Enter a key with the role predict."],
  "key-unknown": ["The API key was refused", "Check that it is complete and has not been revoked."],
  "role-missing": ["The API key may not do this", "Use a key with the role ROLE."],
  "rate-limited": ["Too many requests with this key", "The service accepts more after a short wait."],
  "overloaded": ["The service is busy", "It accepts more after a short wait."],
  "not-ready": ["The service is starting or shutting down", "Try again in a moment."],
  "deadline-exceeded": ["The service took too long", "Try again; a smaller picture takes less time."],
  "request-timeout": ["Sending the picture took too long", "Check the connection, or choose a smaller file."],
  "unknown-model": ["This model is no longer served", "The models of the service have changed."],
  "internal-error": ["The service failed", "Its log has the cause."],
  [UNEXPECTED]: ["The response is not one of the service", "A proxy or a login may be between this page and the service. Reload the page."],
  [UNREADABLE]: ["The file cannot be read", "It may be a folder, or was moved or changed. Choose it again."],
};

// The same errors in the words of a proxy.
const OF_STATUS = { 413: "body-too-large", 429: "overloaded", 502: "not-ready", 503: "not-ready", 504: "deadline-exceeded" };

const GONE = ["The service does not answer", "It may have been stopped, or the connection is lost. Try again."];

/** Return the title, the advice and the service's own detail for an error. */
export function explain(error) {
  const isService = error instanceof ServiceError;
  if (error.status === 0 && !error.slug) return { title: GONE[0], advice: GONE[1], detail: "" };
  const known = TEXTS[isService ? error.slug || OF_STATUS[error.status] : UNEXPECTED];
  if (!known) {
    const detail = error.slug ? error.message : `A proxy may have answered, with the status ${error.status}.`;
    return { title: "The request failed", advice: "", detail };
  }
  const [title, advice] = known;
  // The page sends one image: its number means nothing to people.
  const detail = error.message.replace(/^image 0( \(.*?\))?: |^no response$/, "");
  return { title, advice: advice.replace("ROLE", () => error.role ?? "that the detail names"), detail };
}

// The same request would fail again: the picture, or the key, has to change first.
const FINAL = new Set([400, 403, 404, 413, 415, 422]);

let countdown = null;

/** Show an error, with a button that repeats the action; it waits as long as the service asks. */
export function showError(error, again) {
  const { title, advice, detail } = explain(error);
  const action = FINAL.has(error.status) || error.slug === UNREADABLE ? null : again;
  const button = showNotice({ title, advice, detail, action, label: "Try again" });
  if (button && error.retryAfter) wait(button, error.retryAfter);
}

/** Show an error of a model that is gone, with a button that reads the models again. */
export function showModelsChanged(error, readModels) {
  showNotice({ ...explain(error), action: readModels, label: "Show the present models" });
}

/** Show a text, with a button for an action if there is one; return this button, or null. */
export function showNotice({ title, advice, detail = "", action = null, label = "" }) {
  hideError();
  const button = action && el("button", { type: "button", class: "button" }, label);
  const close = el("button", { type: "button", class: "quiet", onclick: hideError, "aria-label": "Close the message" }, "✕");
  byId("notice").classList.add("shown");
  // Only the text is announced: the countdown of the button changes every second.
  byId("notice-text").append(
    el("strong", {}, title), el("p", {}, advice), detail ? el("p", { class: "note" }, detail) : "",
  );
  byId("notice-buttons").append(button || "", close);
  button?.addEventListener("click", () => { hideError(); action(); });
  return button;
}

export function hideError() {
  clearInterval(countdown);
  byId("notice").classList.remove("shown");
  byId("notice-text").replaceChildren();
  byId("notice-buttons").replaceChildren();
}

function duration(seconds) {
  if (seconds <= 90) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes <= 90 ? `${minutes} minutes` : `${Math.ceil(minutes / 60)} hours`;
}

function wait(button, seconds) {
  let left = seconds;
  const show = () => {
    button.disabled = left > 0;
    button.textContent = left > 0 ? `Try again in ${duration(left)}` : "Try again";
  };
  show();
  countdown = setInterval(() => {
    left -= 1;
    show();
    if (left <= 0) clearInterval(countdown);
  }, 1000);
}

// The metrics of the service: the text format of Prometheus, and figures of two readings.

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Return the samples whose name is wanted, as {name, labels, value}. */
export function parseMetrics(text, wanted) {
  const found = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (!match || !wanted.has(match[1])) continue;
    if (match[3] === "NaN") continue; // such as the alpha of a policy without one
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(LABEL)) {
      labels[name] = value.replace(/\\(.)/g, (_, char) => (char === "n" ? "\n" : char));
    }
    found.push({ name: match[1], labels, value: match[3] === "+Inf" ? Infinity : Number(match[3]) });
  }
  return found;
}

/** Sum the samples of a name whose labels have the given values. */
export function sum(samples, name, labels = {}) {
  const chosen = samples.filter((each) => each.name === name
    && Object.entries(labels).every(([label, value]) => each.labels[label] === value));
  return chosen.length ? chosen.reduce((total, each) => total + each.value, 0) : null;
}

/** The p99 in seconds of the predictions between two readings, and their count; null: there were none. */
export function p99(before, after) {
  const older = buckets(before);
  const counts = [...buckets(after)].map(([bound, count]) => [bound, count - (older.get(bound) ?? 0)]);
  counts.sort(([one], [other]) => one - other);
  const total = counts.at(-1)?.[1] ?? 0;
  if (total <= 0) return null;
  let lower = 0;
  let below = 0;
  for (const [bound, count] of counts) {
    if (count >= 0.99 * total) {
      const more = bound === Infinity ? 0 : ((bound - lower) * (0.99 * total - below)) / (count - below);
      return { seconds: lower + more, count: total };
    }
    [lower, below] = [bound, count];
  }
  return { seconds: lower, count: total };
}

function buckets(samples) {
  const found = new Map();
  for (const { name, labels, value } of samples) {
    if (name !== "oodguard_request_duration_seconds_bucket" || !/\/(predict|infer)$/.test(labels.route)) continue;
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    found.set(bound, (found.get(bound) ?? 0) + value);
  }
  return found;
}

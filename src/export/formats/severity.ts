/** How much an event matters, once for all formats. */
import type { Event } from "../../audit/event.ts";

export type Severity = "info" | "low" | "medium" | "high";

/**
 * What is refused is medium: the firewall did its work. A detection is high, and so is tampering: somebody should look; so is enforcement that was
 * lost. What Sallyport says of itself is medium unless it is routine: most of it is about a record that was harmed.
 */
export function severityOf(event: Event): Severity {
  if (event.kind === "detection" || event.kind === "tamper") return "high";
  if (event.kind === "lifecycle") return ofLifecycle(event);
  if (event.kind === "policy") return event.message === "rejected" ? "medium" : "info";
  if (event.verdict === "deny") return "medium";
  return event.verdict === "would_deny" ? "low" : "info";
}

const routine: ReadonlySet<string> = new Set(["started", "stopped", "took over"]);

function ofLifecycle({ message = "", data }: Event): Severity {
  if (message === "failure" && data?.["fatal"] === true) return "high";
  const isPlanned = data?.["retention"] !== undefined && data["unread"] === undefined;
  return isPlanned || routine.has(message) ? "info" : "medium";
}

/** One line for people. */
export function summaryOf({ kind, verdict, reason, destination, message, rule }: Event): string {
  if (message !== undefined) return message;
  const port = destination?.port === undefined ? "" : ` port ${destination.port}`;
  const where = `${destination?.name ?? destination?.ip ?? "unknown"}${port}`;
  const by = rule === undefined ? "" : rule.name === null ? " by the default" : ` by rule ${rule.name}`;
  const why = reason === undefined || reason === "rule" || reason === "default" ? "" : ` (${reason})`;
  return `${kind.replace("_", " ")} ${verdict?.replace("_", " ") ?? ""} ${where}${by}${why}`.replaceAll(/ +/g, " ");
}

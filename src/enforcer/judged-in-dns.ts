/** What the DNS firewall recorded of one query, as the detections want to know it. */
import { parseAddress } from "../address/ip.ts";
import type { EventBody } from "../audit/event.ts";
import type { JudgedName } from "../detect/names.ts";

/** Null where nothing was said about a name: a malformed question, or one that found no place. */
export function judgedInDns(event: EventBody): JudgedName | null {
  const source = parseAddress(event.source?.ip ?? "");
  const whole = event.data?.question;
  const name = typeof whole === "string" ? whole : (event.destination?.name ?? null);
  if (source === null || name === null || event.reason === undefined) return null;
  const refused = event.verdict !== "allow";
  switch (event.reason) {
    case "query_malformed":
    case "over_limit":
      return null;
    case "query_budget":
      return { source, name, channel: "dns", outcome: "over_budget" };
    case "rule":
    case "default":
    case "invalid_name":
      return { source, name, channel: "dns", outcome: refused ? "denied" : "passed" };
    default:
      // The name itself is allowed; except that reverse names are asked of nobody.
      return { source, name, channel: "dns", outcome: refused && event.dns?.qtype === "PTR" ? "denied" : "passed" };
  }
}

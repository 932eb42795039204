/**
 * Aviatrix's Distributed Cloud Firewall from Terraform's JSON: smart groups, web groups, policies and the default action.
 *
 * The lowest `priority` comes first and the first match decides; `watch` only records. Without a default action rule what no
 * policy matches is permitted. Web groups are names by SNI or Host for TCP; `*.example.com` is any name below.
 */
import { importDefault, rulePlaces } from "./aviatrix-rule.ts";
import type { Rule } from "./aviatrix-rule.ts";
import { Groups } from "./aviatrix-groups.ts";
import type { Context } from "./context.ts";
import { sourceFor } from "./context.ts";
import { plainName } from "./draft.ts";
import { at, entriesOf, itemsOf, textOf } from "./field.ts";
import type { Field } from "./field.ts";
import { quoted } from "./note.ts";
import type { Effect } from "./note.ts";
import { resourcesOf } from "./terraform.ts";

const lists: Readonly<Record<string, string>> = {
  aviatrix_distributed_firewalling_policy_list: "policies",
  aviatrix_dcf_ruleset: "rules",
};
const defaults = ["aviatrix_distributed_firewalling_default_action_rule", "aviatrix_dcf_default_action_rule"];

/** Keys of a policy that are read, or that say nothing about what is reached. */
const known = [
  "name action priority protocol src_smart_groups dst_smart_groups web_groups port_ranges watch flow_app_requirement",
  "logging log_profile uuid exclude_sg_orchestration tls_profile decrypt_policy egress_path",
].flatMap((keys) => keys.split(" "));

/** Fills the draft from every policy list of a file. */
export function importAviatrix(context: Context): void {
  const { roots, draft, problems } = context;
  const resources = roots.flatMap(resourcesOf);
  const policies = resources.flatMap(({ type, values }) => (type in lists ? itemsOf(at(values, lists[type]!)) : []));
  if (policies.length === 0) {
    const start = () => ({ line: 1, column: 1, text: "" });
    const fix = "Name a *.tf.json file, or what `terraform show -json` prints.";
    problems.add("empty", start, "there is no policy list of Aviatrix's in it", fix);
    return;
  }
  const groups = new Groups(resources);
  const ordered = policies.map((field) => ({ field, priority: priorityOf(field) }));
  for (const { field } of ordered.toSorted((a, b) => a.priority - b.priority)) importPolicy(field, groups, context);
  const ending = resources.find(({ type }) => defaults.includes(type));
  importDefault(ending?.values ?? null, context);
  for (const { type, values } of resources) noteOthers(type, values, context);
  draft.about.push(
    "Rules are in the order of their priorities, in one tier: the first that matches decides, as there.",
    "logging, log_profile, tls_profile, exclude_sg_orchestration and egress_path have no counterpart: every decision is recorded.",
  );
}

/** What Terraform would only work out, and resources of the firewall that are no policy. */
function noteOthers(type: string, values: Field, { notes }: Context): void {
  const isGroup = type === "aviatrix_smart_group" || type === "aviatrix_web_group";
  const isRead = isGroup || type in lists || defaults.includes(type);
  if (!isRead && /^aviatrix_(?:dcf|distributed_firewalling)_/.test(type)) {
    notes.add("other", values, `${type} has no counterpart in a policy`);
  }
  for (const block of isRead ? [values, ...itemsOf(at(values, "selector"))] : []) {
    for (const key of ["dynamic", "count", "for_each"]) {
      const field = at(block, key);
      if (field === null) continue;
      const message = `${key} is worked out by Terraform and not read here. Import what \`terraform show -json\` prints`;
      notes.add("wider", field, message);
    }
  }
}

function priorityOf(field: Field): number {
  const text = textOf(at(field, "priority")) ?? "0";
  return /^\d{1,9}$/.test(text) ? Number(text) : 0;
}

function importPolicy(field: Field, groups: Groups, context: Context): void {
  const { notes, draft } = context;
  const name = plainName(textOf(at(field, "name")) ?? "");
  const action = textOf(at(field, "action"));
  const isDeny = action === "DENY";
  // A deny that is lost opens something.
  const lost: Effect = isDeny ? "wider" : "narrower";
  for (const [key, entry] of entriesOf(field)) {
    if (!known.includes(key)) notes.add("other", entry, `policy ${quoted(name)}: ${quoted(key)} is unknown here`);
  }
  const isInspected = action === "INTRUSION_DETECTION_PERMIT" || action === "DEEP_PACKET_INSPECTION_PERMIT";
  if (!isDeny && action !== "PERMIT" && !isInspected) {
    notes.add(
      "wider",
      field,
      `policy ${quoted(name)}: action ${quoted(action ?? "")} is unknown here, so it is left out`,
    );
    return;
  }
  if (isInspected)
    notes.add("other", field, `policy ${quoted(name)}: nothing looks for intrusions here; it is a plain permit`);
  if (textOf(at(field, "decrypt_policy")) === "DECRYPT_ALLOWED")
    notes.add("other", at(field, "decrypt_policy")!, `policy ${quoted(name)}: nothing is decrypted here`);
  const app = textOf(at(field, "flow_app_requirement"));
  if (app === "NOT_TLS_REQUIRED") {
    notes.add(
      lost,
      at(field, "flow_app_requirement")!,
      `policy ${quoted(name)}: no rule here is for everything but TLS`,
    );
    return;
  }
  const from = whoIs(field, groups, lost, context);
  if (from === undefined) return;
  const rule: Rule = {
    field,
    lost,
    groups,
    isDeny,
    isTls: app === "TLS_REQUIRED",
    base: {
      name,
      spot: field,
      from,
      ...(isDeny ? { action: "deny" as const, reason: `policy ${name} of Aviatrix` } : {}),
      ...(textOf(at(field, "watch")) === "true" ? { mode: "monitor" as const } : {}),
    },
  };
  draft.rules.push(...rulePlaces(rule, context));
}

/** The sources of a policy; undefined where they cannot be said. */
function whoIs(field: Field, groups: Groups, lost: Effect, context: Context): readonly string[] | null | undefined {
  const names: string[] = [];
  let everybody = false;
  const items = itemsOf(at(field, "src_smart_groups"));
  for (const item of items) {
    const group = groups.smart(textOf(item) ?? "");
    if (group.kind === "anywhere") everybody = true;
    else if (group.kind === "known" && group.hosts.length === 0) {
      context.draft.sources.set(group.name, group.cidrs);
      names.push(group.name);
    } else {
      const [name, why] =
        group.kind === "internet"
          ? ["Public Internet", "is no source"]
          : [group.name, group.kind === "unknown" ? group.why : "selects by host name"];
      const from = sourceFor(context, name, `smart group ${quoted(name)} ${why} and`, item, lost);
      if (from === null) everybody = true;
      else names.push(...(from ?? []));
    }
  }
  if (everybody) return null;
  return names.length === 0 ? undefined : [...new Set(names)];
}

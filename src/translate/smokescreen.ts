/**
 * Stripe's Smokescreen: an ACL of services (`version: v1`), each with `allowed_domains` and an `action`, a `default` for
 * services that are not listed, and global lists.
 *
 * It decides (acl/v1/acl.go): a service's own domains are allowed; else what is on the global deny list is denied; else what is
 * on the global allow list is allowed; else the action: `enforce` denies, `report` allows and records, `open` allows. A listed
 * service never comes to the default. `*.example.com` is any name below, at any depth. No ports, TCP alone.
 *
 * A service is known by its client certificate there. Here it is its subnets, which the user gives with `--source`.
 */
import type { Context } from "./context.ts";
import { sourceFor } from "./context.ts";
import { plainName, placesOf, rulesFor } from "./draft.ts";
import type { Place, RuleBase } from "./draft.ts";
import { at, entriesOf, itemsOf, textOf } from "./field.ts";
import type { Field } from "./field.ts";
import { quoted } from "./note.ts";

type Action = "open" | "report" | "enforce";

const known = ["version", "services", "default", "global_allow_list", "global_deny_list"];
const knownOfService = ["name", "project", "action", "allowed_domains"];
const others: Readonly<Record<string, string>> = {
  mitm_domains: "requests inside TLS are not read here",
  allowed_external_proxies: "proxies that a client names are destinations like any other here",
  external_proxy_globs: "proxies that a client names are destinations like any other here",
};

interface Service {
  readonly field: Field;
  readonly name: string;
  readonly from: readonly string[] | null;
  readonly action: Action;
}

/** Fills the draft from an ACL. */
export function importSmokescreen(context: Context): void {
  const { roots, draft, notes, problems } = context;
  const root = roots[0] ?? null;
  if (textOf(at(root, "version")) !== "v1") {
    const spot = at(root, "version") ?? { line: 1, column: 1 };
    const place = () => ({ line: spot.line, column: spot.column, text: "" });
    problems.add("schema", place, "this is no ACL of Smokescreen's: it has no version: v1", "Name the ACL's file.");
    return;
  }
  for (const [name, entry] of entriesOf(root)) {
    if (!known.includes(name)) notes.add("other", entry, `${quoted(name)} is no key of an ACL`);
  }
  const fallback = at(root, "default");
  const services = itemsOf(at(root, "services")).flatMap((field) => readService(field, fallback !== null, context));
  for (const service of services) allowOwn(service, context);
  const named = [...new Set(services.flatMap(({ from }) => from ?? []))];
  if (services.some(({ from }) => from === null)) globals(root, null, "", context);
  else if (named.length > 0) globals(root, named, " of services", context);
  if (fallback !== null) draft.mode = actionOf(fallback, context) === "report" ? "monitor" : "enforce";
  for (const service of services) ending(service, context);
  if (fallback !== null) {
    const service: Service = { field: fallback, name: "default", from: null, action: actionOf(fallback, context) };
    noteOthers(fallback, context);
    allowOwn(service, context);
    globals(root, null, "", context);
    if (service.action === "open") allowAll(service, context);
  }
  draft.about.push(
    "Smokescreen is a proxy and has no ports in its lists: a domain is allowed on every port, opaque. Import with --web for 443 and 80 by name.",
    "A service is its client certificate there and its subnets here.",
  );
}

function readService(field: Field, hasDefault: boolean, context: Context): Service[] {
  const name = plainName(textOf(at(field, "name")) ?? "");
  noteOthers(field, context);
  // A service that is not told from the others comes to the default's lists, which are not for it.
  const from = sourceFor(context, name, `service ${quoted(name)}`, field, hasDefault ? "wider" : "narrower");
  return from === undefined ? [] : [{ field, name, from, action: actionOf(field, context) }];
}

function noteOthers(field: Field, { notes }: Context): void {
  for (const [name, entry] of entriesOf(field)) {
    const why = Object.hasOwn(others, name) ? others[name]! : "it is no key of a service";
    if (!knownOfService.includes(name)) notes.add("other", entry, `${quoted(name)}: ${why}`);
  }
}

function actionOf(field: Field, { notes }: Context): Action {
  const text = textOf(at(field, "action"));
  if (text === "open" || text === "report" || text === "enforce") return text;
  const message = `action ${quoted(text ?? "")} is none that Smokescreen has; taken for enforce`;
  notes.add("narrower", field, message);
  return "enforce";
}

function domains(field: Field | null, { notes, options }: Context, isDeny: boolean): Place[] {
  const ports = options.web && !isDeny ? [443, 80] : "any";
  return itemsOf(field).flatMap((item) => {
    const host = textOf(item) ?? "";
    // Smokescreen refuses to start with any other; a deny that is lost opens something.
    if (/\*/.test(host.replace(/^\*\./, ""))) {
      notes.add(isDeny ? "wider" : "narrower", item, `${quoted(host)}: Smokescreen has a star only as the first label`);
      return [];
    }
    return placesOf(
      host,
      ports,
      item,
      { product: "Smokescreen", star: { crossesDots: true, mayBeEmpty: false } },
      notes,
    );
  });
}

function base(name: string, field: Field, from: readonly string[] | null): RuleBase {
  return { name: plainName(name), spot: field, from };
}

function allowOwn({ field, name, from }: Service, context: Context): void {
  const list = at(field, "allowed_domains");
  const title = name === "default" && from === null ? "default" : `service ${name}`;
  const owner = textOf(at(field, "project"));
  const rules = rulesFor(base(title, field, from), domains(list, context, false), false);
  context.draft.rules.push(...rules.map((rule) => (owner === null ? rule : { ...rule, owner })));
}

/** The global lists, deny before allow. */
function globals(root: Field | null, from: readonly string[] | null, whose: string, context: Context): void {
  const deny = at(root, "global_deny_list");
  const allow = at(root, "global_allow_list");
  if (deny !== null) {
    const rule = {
      ...base(`global deny list${whose}`, deny, from),
      action: "deny" as const,
      reason: "on the global deny list",
    };
    context.draft.rules.push(...rulesFor(rule, domains(deny, context, true), false));
  }
  if (allow !== null) {
    context.draft.rules.push(
      ...rulesFor(base(`global allow list${whose}`, allow, from), domains(allow, context, false), false),
    );
  }
}

/** What becomes of a listed service's other traffic: it must not come to the default's lists. */
function ending(service: Service, context: Context): void {
  const { draft, notes } = context;
  const { action, from, field, name } = service;
  if (from === null) return;
  if (action === "enforce") {
    draft.enforceFor.push(...(draft.mode === "monitor" ? from : []));
    const rule = base(`service ${name}: nothing else`, field, from);
    draft.rules.push({ ...rule, to: ["**:*"], protocol: "tcp", action: "deny", reason: "its action is enforce" });
    return;
  }
  if (action === "report") {
    if (draft.mode === "monitor") return;
    notes.add(
      "other",
      field,
      `service ${quoted(name)} reports what is on no list; here it is allowed and recorded like the rest`,
    );
  }
  allowAll(service, context);
}

function allowAll({ field, name, from, action }: Service, { draft }: Context): void {
  const rule = base(`service ${name}: everything else`, field, from);
  draft.rules.push({ ...rule, to: ["**:*"], protocol: "tcp", reason: `its action is ${action}` });
}

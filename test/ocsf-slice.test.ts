/**
 * Promises: `scripts/ocsf-slice.ts` fills in what the files of an ocsf-schema checkout leave out (the dictionary, what is extended
 * and included, profiles, categories), in a checkout in miniature whose files have the real ones' form; and that it keeps the facts
 * of the schema as the server compiles it.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { sliceOf, sliceOfCompiled } from "../scripts/ocsf-slice.ts";

const checkout = mkdtempSync(join(tmpdir(), "sallyport-ocsf-"));
after(() => rmSync(checkout, { recursive: true }));

const captions = (values: Record<string, string>) =>
  Object.fromEntries(Object.entries(values).map(([value, caption]) => [value, { caption, description: "…" }]));
const plain = { requirement: "optional" };
const anObject = (name: string, attributes: object, more: object = {}) => ({
  caption: name,
  name,
  attributes,
  ...more,
});

const files: Record<string, object> = {
  "version.json": { version: "1.5.0" },
  "categories.json": { attributes: { network: { uid: 4, caption: "Network Activity" } } },
  "dictionary.json": {
    attributes: {
      activity_id: { type: "integer_t", sibling: "activity_name", enum: captions({ "0": "Unknown", "99": "Other" }) },
      activity_name: { type: "string_t" },
      action_id: { type: "integer_t", enum: captions({ "0": "Unknown" }) },
      answers: { type: "dns_answer", is_array: true },
      category_uid: { type: "integer_t", sibling: "category_name" },
      device: { type: "device" },
      dst_endpoint: { type: "network_endpoint" },
      ip: { type: "ip_t" },
      metadata: { type: "metadata" },
      name: { type: "string_t" },
      port: { type: "port_t" },
      type_uid: { type: "long_t", sibling: "type_name" },
      uid: { type: "string_t" },
    },
    types: {
      attributes: {
        integer_t: {},
        long_t: {},
        url_t: { type: "string_t" },
        string_t: {},
        ip_t: { type: "string_t" },
        port_t: { type: "integer_t", range: [0, 65_535] },
      },
    },
  },
  "profiles/security_control.json": {
    ...{ meta: "profile", name: "security_control" },
    attributes: { action_id: { requirement: "recommended", enum: captions({ "1": "Allowed" }) } },
  },
  "profiles/host.json": { meta: "profile", name: "host", attributes: { device: plain } },
  "events/base_event.json": {
    ...{ caption: "Base Event", category: "other", name: "base_event" },
    attributes: {
      $include: ["profiles/host.json"],
      activity_id: { requirement: "required" },
      activity_name: plain,
      category_uid: { requirement: "required" },
      metadata: { requirement: "required" },
      type_uid: { requirement: "required" },
    },
  },
  "events/network/network.json": {
    ...{ caption: "Network", category: "network", extends: "base_event", name: "network" },
    attributes: { dst_endpoint: { requirement: "recommended" } },
    constraints: { at_least_one: ["dst_endpoint", "src_endpoint"] },
  },
  "events/network/network_activity.json": {
    ...{ uid: 1, caption: "Network Activity", extends: "network", name: "network_activity" },
    attributes: { activity_id: { enum: captions({ "1": "Open" }) } },
  },
  "events/network/dns_activity.json": {
    ...{ uid: 3, caption: "DNS Activity", extends: "network", name: "dns_activity" },
    attributes: { $include: "profiles/host.json", answers: plain },
  },
  "objects/_entity.json": anObject(
    "_entity",
    { name: plain, uid: plain },
    { constraints: { at_least_one: ["name", "uid"] } },
  ),
  "objects/firewall_rule.json": anObject("firewall_rule", {}, { extends: "_entity" }),
  "objects/policy.json": anObject("policy", { name: { requirement: "required" } }, { extends: "_entity" }),
  "objects/network_endpoint.json": anObject("network_endpoint", { ip: plain, port: plain }),
};
for (const name of ["metadata", "product", "network_connection_info", "network_traffic", "tls", "object"]) {
  files[`objects/${name}.json`] = anObject(name, {});
}
for (const name of ["dns_query", "dns_answer"]) files[`objects/${name}.json`] = anObject(name, {});
for (const [path, content] of Object.entries(files)) {
  mkdirSync(dirname(join(checkout, path)), { recursive: true });
  writeFileSync(join(checkout, path), JSON.stringify(content));
}

test("a class has what it extends, the dictionary's types, enumerations added to, and only the profiles that are wanted", () => {
  const { version, classes, types } = sliceOf(checkout);
  assert.equal(version, "1.5.0");
  const { network_activity: network, dns_activity: dns, base_event: base } = classes;
  assert.deepEqual(network, {
    ...{ uid: 4001, category_uid: 4, caption: "Network Activity", category: "Network Activity" },
    attributes: {
      action_id: { type: "integer_t", enum: { "0": "Unknown", "1": "Allowed" }, profile: "security_control" },
      activity_id: {
        ...{ type: "integer_t", required: true },
        enum: { "0": "Unknown", "1": "Open", "99": "Other" },
        sibling: "activity_name",
      },
      activity_name: { type: "string_t" },
      category_uid: { type: "integer_t", required: true, enum: { "4": "Network Activity" }, sibling: "category_name" },
      dst_endpoint: { type: "network_endpoint" },
      metadata: { type: "metadata", required: true },
      type_uid: {
        ...{ type: "long_t", required: true, sibling: "type_name" },
        enum: {
          "400100": "Network Activity: Unknown",
          "400101": "Network Activity: Open",
          "400199": "Network Activity: Other",
        },
      },
    },
    constraints: { at_least_one: ["dst_endpoint", "src_endpoint"] },
  });
  assert.deepEqual([dns!.uid, dns!.attributes["answers"]], [4003, { type: "dns_answer", array: true }]);
  assert.deepEqual([base!.uid, base!.category_uid, base!.category], [0, 0, "Uncategorized"]);
  assert.deepEqual(Object.keys(base!.attributes), [
    ...["action_id", "activity_id", "activity_name", "category_uid", "metadata", "type_uid"],
  ]);
  // Those that the slice's attributes have.
  assert.deepEqual(types, {
    integer_t: {},
    ip_t: { base: "string_t" },
    long_t: {},
    port_t: { base: "integer_t", range: [0, 65_535] },
    string_t: {},
  });
});

test("an object has what it extends, and constraints with it", () => {
  const { objects } = sliceOf(checkout);
  assert.deepEqual(objects["firewall_rule"], {
    attributes: { name: { type: "string_t" }, uid: { type: "string_t" } },
    constraints: { at_least_one: ["name", "uid"] },
  });
  assert.deepEqual(objects["policy"]!.attributes["name"], { type: "string_t", required: true });
});

/** As the server writes it: each member, null where there is nothing. */
const compiled = (type: string, more: object = {}) => ({
  ...{
    caption: "…",
    type,
    requirement: "optional",
    description: "…",
    is_array: false,
    "@deprecated": null,
    enum: null,
  },
  ...{ group: null, observable: null, profile: null, sibling: null, object_type: null, object_name: null },
  ...more,
});
const anItem = (name: string, attributes: object, more: object = {}) => ({
  ...{ caption: name, name, description: "…", attributes, extends: null, profiles: null, constraints: null },
  ...more,
});

function compiledSchema() {
  const classes = Object.entries({ base_event: [0, "Base Event"], network_activity: [4001, "Network Activity"] });
  const of = (uid: number, caption: string) => ({
    type_uid: compiled("long_t", {
      ...{ requirement: "required", sibling: "type_name" },
      enum: captions({ [uid * 100]: `${caption}: Unknown` }),
    }),
    category_uid: compiled("integer_t", { enum: captions(uid === 0 ? { "0": "Uncategorized" } : { "4": "Network" }) }),
    device: compiled("device", { object_type: "device", profile: "host" }),
    // The form of objects where they are not named by the type.
    metadata: compiled("object_t", { object_type: "metadata", requirement: "required" }),
    action_id: compiled("integer_t", { profile: "security_control", enum: captions({ "1": "Allowed" }) }),
    answers: compiled("dns_answer", { is_array: true, object_type: "dns_answer" }),
  });
  const events = classes.map(([name, [uid, caption]]) => [
    name,
    anItem(name, of(uid as number, caption as string), {
      ...{ uid, caption, constraints: uid === 0 ? null : { at_least_one: ["dst_endpoint"] } },
    }),
  ]);
  const names = ["metadata", "product", "network_connection_info", "network_traffic", "tls", "object", "firewall_rule"];
  const objects = [...names, "policy", "dns_query", "dns_answer"].map((name) => [name, anItem(name, {})]);
  const endpoint = anItem("network_endpoint", { port: compiled("port_t") });
  const dns = anItem("dns_activity", of(4003, "DNS Activity"), { uid: 4003, caption: "DNS Activity" });
  return {
    version: "1.5.0",
    classes: { ...Object.fromEntries(events), dns_activity: dns } as Record<string, object>,
    objects: { ...Object.fromEntries(objects), network_endpoint: endpoint } as Record<string, object>,
    types: {
      ...{ integer_t: { type: null, range: null }, long_t: { type: null, range: null } },
      ...{ port_t: { type: "integer_t", range: [0, 65_535] }, string_t: { type: null, range: null } },
    },
  };
}

test("of the compiled schema it keeps the facts, without the nulls and the profiles that are not wanted", () => {
  const { version, classes, objects, types } = sliceOfCompiled(compiledSchema());
  assert.equal(version, "1.5.0");
  assert.deepEqual(classes["network_activity"], {
    ...{ uid: 4001, category_uid: 4, caption: "Network Activity", category: "Network" },
    attributes: {
      action_id: { type: "integer_t", enum: { "1": "Allowed" }, profile: "security_control" },
      answers: { type: "dns_answer", array: true },
      category_uid: { type: "integer_t", enum: { "4": "Network" } },
      metadata: { type: "metadata", required: true },
      type_uid: {
        ...{ type: "long_t", required: true, sibling: "type_name" },
        enum: { "400100": "Network Activity: Unknown" },
      },
    },
    constraints: { at_least_one: ["dst_endpoint"] },
  });
  const { uid, category_uid: category, constraints } = classes["base_event"]!;
  assert.deepEqual([uid, category, constraints], [0, 0, undefined]);
  assert.deepEqual(objects["network_endpoint"], { attributes: { port: { type: "port_t" } } });
  assert.deepEqual(types, { integer_t: {}, long_t: {}, port_t: { base: "integer_t", range: [0, 65_535] } });
});

test("what is wanted and not there is no slice", () => {
  const { dns_query: _, ...objects } = compiledSchema().objects;
  assert.throws(() => sliceOfCompiled({ ...compiledSchema(), objects }), /has no dns_query/);
  rmSync(join(checkout, "objects/policy.json"));
  assert.throws(() => sliceOf(checkout), /has no policy/);
});

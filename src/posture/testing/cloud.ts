/** What holds of whatever is given as a cloud's files: nothing is thrown, each thing said has its place and its fix, in one line. */
import assert from "node:assert/strict";
import { decodeJson } from "../../cloud/json.ts";
import { checkCloud } from "../cloud/check.ts";
import { subnetPicture } from "../cloud/picture.ts";

/** `bytes` as a role's file, a network's and a plan, all at once. */
export function cloudHolds(bytes: Uint8Array): void {
  const text = decodeJson(bytes);
  const file = (name: string) => [{ file: `${name}.json`, text }];
  const options = {
    subnets: [],
    roles: [],
    accounts: [],
    servers: [],
    firewalls: [],
    destinations: [],
    catalogue: null,
  };
  const { findings, subnets } = checkCloud({
    iam: file("iam"),
    network: file("network"),
    plan: file("plan"),
    controls: file("controls"),
    ...options,
  });
  const lines = text.split("\n").length;
  // One text cannot be a plan, an account and a network at once.
  assert.ok(findings.some(({ status }) => status === "unknown"));
  assert.ok(findings.length < 2000);
  for (const { where, seen, subject, fix, status } of findings) {
    assert.ok(where.kind === "file" && (where.line ?? 1) >= 1 && (where.line ?? 1) <= lines, JSON.stringify(where));
    assert.ok(where.part === null || where.part.startsWith("/"));
    assert.ok(seen !== "" && (status === "pass") === (fix === ""), `${seen}: ${fix}`);
    assert.doesNotMatch(seen + subject, /[\p{Cc}\u2028\u2029]/u);
  }
  for (const subnet of subnets)
    assert.doesNotMatch(
      subnetPicture(subnet, { firewalls: [], destinations: [] }),
      /<script|[\ud800-\udfff](?![\udc00-\udfff])|\p{Cc}(?<!\n)/u,
    );
}

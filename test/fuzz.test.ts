/**
 * Invariant 7: every parser of bytes or text that somebody else wrote has a fuzz target with a corpus. The table says which; what
 * looks like a parser and is in neither table fails here, and so does a time box that would make a run endless.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { corpusOf } from "./support/fuzz.ts";
import { modulesUnder, root } from "./support/modules.ts";

/** Each parser as `file: export`, and the target that reads through it, or several for several promises. */
const parsers: Record<string, string | readonly string[]> = {
  "src/address/cidr.ts: parseCidr": "address",
  "src/address/ip.ts: parseAddress": "address",
  "src/address/name.ts: canonicalName": "name",
  "src/address/name.ts: toAscii": "name",
  "src/address/pattern.ts: parsePattern": "pattern",
  "src/audit/beginning.ts: readRetention": "audit-line",
  "src/audit/beginning.ts: readRetentionData": "audit-line",
  "src/audit/chain.ts: openLine": "audit-line",
  "src/audit/chain.ts: verifyLine": "audit-line",
  "src/audit/clock.ts: parseTime": "audit-line",
  "src/audit/known-heads.ts: readKnownHeads": "audit-record",
  "src/audit/lines.ts: readLines": "audit-record",
  "src/audit/read.ts: readEvents": "audit-record",
  "src/audit/recover.ts: recover": "audit-record",
  "src/audit/report-file.ts: readReport": ["audit-line", "baseline-report"],
  "src/audit/seal.ts: parseSeal": "audit-record",
  "src/audit/seal.ts: readSeal": "audit-record",
  "src/audit/segment.ts: readHead": "audit-record",
  "src/audit/signature.ts: readStatement": "audit-record",
  "src/audit/small-file.ts: readSmall": "audit-record",
  "src/audit/verify.ts: verifyRecord": "audit-record",
  "src/cloud/json.ts: decodeJson": "foreign-policy",
  "src/cloud/json.ts: readJson": "foreign-policy",
  "src/iam/guardrails.ts: guardrailsOf": "foreign-policy",
  "src/iam/document.ts: readPolicyDocument": "foreign-policy",
  "src/iam/resource-policy.ts: resourcePolicyOf": "foreign-policy",
  "src/dns/answer.ts: readAnswer": "dns-answer",
  "src/dns/frames.ts: FrameReader": "dns-frames",
  "src/dns/judge.ts: judge": "dns-judgement",
  "src/dns/judge.ts: reverseAddress": "dns-judgement",
  "src/dns/query.ts: readQuery": "dns-judgement",
  "src/enforcer/bindings.ts: bindingOf": "snapshots",
  "src/enforcer/control.ts: ask": "control-answers",
  "src/enforcer/flow-rows.ts: flowOf": "snapshots",
  "src/config/config.ts: loadConfig": "sink-answers",
  "src/config/metrics-address.ts: parseMetricsAddress": "resolvers",
  "src/enforcer/resolvers.ts: parseResolver": "resolvers",
  "src/enforcer/resolvers.ts: systemResolvers": "resolvers",
  "src/enforcer/snapshot.ts: Snapshot": "snapshots",
  "src/export/backoff.ts: parseRetryAfter": "sink-answers",
  "src/export/cursor.ts: parseCursor": "sink-answers",
  "src/export/sinks/otlp.ts: readPartialSuccess": "sink-answers",
  "src/export/sinks/splunk.ts: isAcknowledged": "sink-answers",
  "src/export/sinks/splunk.ts: readAckId": "sink-answers",
  "src/export/tail.ts: readBatch": "sink-answers",
  "src/flow/after-hello.ts: AfterHello": "second-hello",
  "src/flow/insertion.ts: couldMiss": "tcp-options",
  "src/flow/insertion.ts: tcpOptions": "tcp-options",
  "src/kernel/diag-message.ts: readDiagSocket": "conntrack-messages",
  "src/kernel/fanotify.ts: readFanotify": "conntrack-messages",
  "src/kernel/netlink.ts: AttributeCursor": "conntrack-messages",
  "src/kernel/netlink.ts: MessageCursor": "conntrack-messages",
  "src/kernel/nf-tables-read.ts: readChain": "conntrack-messages",
  "src/kernel/nf-tables-read.ts: readRule": "conntrack-messages",
  "src/kernel/packet-message.ts: PacketMessages": "nfqueue-messages",
  "src/kernel/proc-event.ts: readProcEvent": "conntrack-messages",
  "src/kernel/queue-statistics.ts: parseQueueStatistics": "kernel-text",
  "src/kernel/raw-sockets.ts: parseRawSockets": "kernel-text",
  "src/kernel/reassembly.ts: parseReassemblyFailures": "kernel-text",
  "src/kernel/route-netlink.ts: readDefaultRoute": "conntrack-messages",
  "src/kernel/route-netlink.ts: readLink": "conntrack-messages",
  "src/kernel/route-netlink.ts: readLinkAddress": "conntrack-messages",
  "src/kernel/ruleset.ts: parseSaved": "kernel-text",
  "src/kernel/socket-drops.ts: parseUdpDrops": "kernel-text",
  "src/kernel/socket-table.ts: readSocket": "conntrack-messages",
  "src/kernel/tuple.ts: readFlow": "conntrack-messages",
  "src/kernel/unix-diag.ts: readAccepted": "conntrack-messages",
  "src/policy/cases.ts: readCases": "policy-cases",
  "src/policy/document.ts: readDocument": "policy",
  "src/policy/duration.ts: parseDuration": "time",
  "src/policy/endpoint.ts: parseEndpoint": "policy-endpoint",
  "src/policy/load.ts: loadPolicy": "policy",
  "src/policy/load.ts: readPolicy": "policy",
  "src/policy/process.ts: parseAction": "policy",
  "src/policy/process.ts: parseExe": "policy",
  "src/policy/process.ts: parseStep": "policy",
  "src/policy/question.ts: readQuestion": "policy-cases",
  "src/policy/resolve.ts: parseTime": "time",
  "src/policy/size.ts: parseSize": "time",
  "src/presets/finding.ts: readUrl": "client-settings",
  "src/presets/ini.ts: readIni": "client-settings",
  "src/presets/maven.ts: readXml": "client-settings",
  "src/presets/npm.ts: resolvedOf": "client-settings",
  "src/presets/toml.ts: readToml": "client-settings",
  "src/process/cgroup.ts: containerOf": "host-text",
  "src/process/images.ts: parseDockerImage": "host-text",
  "src/process/images.ts: parseStoredImage": "host-text",
  "src/process/mask.ts: maskText": "host-text",
  "src/process/mask.ts: masker": "host-text",
  "src/process/proc-text.ts: parseArguments": "host-text",
  "src/process/proc-text.ts: parseCgroupPaths": "host-text",
  "src/process/proc-text.ts: parseEffectiveUid": "host-text",
  "src/process/proc-text.ts: parseEnvironment": "host-text",
  "src/process/proc-text.ts: parseStat": "host-text",
  "src/process/streams.ts: parseConnections": "host-text",
  "src/process/users.ts: parsePasswd": "host-text",
  "src/run/resolv.ts: bindingsFromHosts": "host-text",
  "src/run/resolv.ts: resolvConfFor": "host-text",
  "src/simulate/agent.ts: readOutcomes": "sink-words",
  "src/simulate/contact.ts: readTestimony": "sink-words",
  "src/simulate/shallow.ts: parseShallow": "sink-words",
  "src/simulate/sink/testimony.ts: readHello": "sink-words",
  "src/simulate/sink/testimony.ts: readRequest": "sink-words",
  "src/simulate/sink/testimony.ts: verify": "sink-words",
  "src/posture/accepted.ts: parseAccepted": "foreign-policy",
  "src/posture/checks/assurance.ts: checkEvidence": "foreign-policy",
  "src/posture/fix/undo-file.ts: parseUndo": "foreign-policy",
  "src/posture/lockfile.ts: readLock": "foreign-policy",
  "src/posture/native-file.ts: parsePolicyFile": "foreign-policy",
  "src/posture/workflows/expression.ts: parseExpression": "foreign-policy",
  "src/posture/workflows/read.ts: readWorkflowTexts": "foreign-policy",
  "src/translate/draft.ts: readPort": "foreign-policy",
  "src/translate/field.ts: readFields": "foreign-policy",
  "src/workflow/local-action.ts: readLocalAction": "foreign-policy",
  "src/workflow/source.ts: readSource": "foreign-policy",
  "src/workflow/source.ts: readYaml": "foreign-policy",
  "src/wire/dns/message.ts: decode": "dns-message",
  "src/wire/dns/message.ts: decodeHeader": "dns-message",
  "src/wire/dns/name.ts: fromHostName": "dns-message",
  "src/wire/dns/name.ts: readName": "dns-message",
  "src/wire/dns/records.ts: readData": "dns-message",
  "src/wire/first-bytes.ts: classify": "first-bytes",
  "src/wire/http/authority.ts: parseAuthority": "http-request",
  "src/wire/http/fields.ts: readFields": "http-stream",
  "src/wire/http/request-stream.ts: RequestStream": "http-stream",
  "src/wire/http/request.ts: parseRequest": "http-request",
  "src/wire/ip/packet.ts: parsePacket": "ip-packet",
  "src/wire/quic/frames.ts: readFrames": "quic-frames",
  "src/wire/quic/header.ts: readHeader": "quic-datagrams",
  "src/wire/quic/initial.ts: QuicInitial": ["quic-datagrams", "quic-following"],
  "src/wire/quic/keys.ts: openInitial": "quic-datagrams",
  "src/wire/quic/varint.ts: readVarint": "quic-frames",
  "src/wire/reassembly.ts: Reassembly": "reassembly",
  "src/wire/ssh/banner.ts: parseBanner": "ssh-banner",
  "src/wire/stratum.ts: isStratum": "first-bytes",
  "src/wire/stream.ts: StreamHead": "reassembly",
  "src/wire/tls/client-hello.ts: parseTls": "tls-hello",
  "src/wire/tls/extensions.ts: readExtensions": "tls-hello",
  "src/wire/tls/extensions.ts: readWords": "tls-hello",
  "src/wire/tls/hello.ts: parseHello": "tls-hello",
  "src/wire/tls/second-hello.ts: readAfterHello": "second-hello",
  "src/yaml/flow.ts: readFlow": "yaml",
  "src/yaml/plain.ts: readPlain": "yaml",
};

/** Targets that hold a parser against a server that reads the same bytes. */
const servers = ["tls-server", "http-server"];

const pairs = Object.entries(parsers).flatMap(([parser, by]) => [by].flat().map((target) => [parser, target] as const));

/** Looks like a parser, and why it needs no target. */
const notParsers: Record<string, string> = {
  "src/machine/verify-receipt.ts: verifyReceipt": "reads by readStatement, which has a target, and a schema",
  "src/kernel/nf-tables-read.ts: readTable": "asks the kernel; what it answers goes through readChain and readRule",
  "src/machine/container-facts.ts: JSON":
    "what an engine or a runtime of root's was told to make; what is no object there says nothing",
  "src/action/agent-client.ts: JSON": "what the agent answers, and root alone can put another one in its place",
  "src/action/event.ts: JSON": "the event's payload, which GitHub's runner wrote; anything that is no object is none",
  "src/action/launch.ts: JSON": "the first word of the agent that was just started",
  "src/action/main.ts: JSON": "what our own `pre` left with the runner",
  "src/action/post.ts: JSON": "what our own `pre` left with the runner, and the report after its digest",
  "src/network/services.ts: JSON":
    "an endpoint's policy; anything that is none is not known, and the target's files have such",
  "src/kernel/devices.ts: JSON": "what `ip -json` prints",
  "src/machine/changes.ts: JSON": "what `ip -json` prints",
  "src/machine/agent.ts: JSON": "a line of whoever started us as root, our own installer",
  "src/machine/install.ts: JSON": "the first word of the agent that was just started",
  "src/machine/order.ts: readOrder": "one text of our own `pre`, read by JSON and a schema alone",
  "src/machine/predecessor.ts: JSON": "the order of the agent before, written by us as root",
  "src/machine/self-test.ts: readResult": "a line of whoever started us as root, our own installer",
  "src/machine/starting.ts: JSON": "what the agent that we started says",
  "src/audit/body.ts: JSON": "text that we wrote ourselves, in another thread",
  "src/policy/parts.ts: JSON": "text that we wrote ourselves, in another thread",
  "src/datapath/ledger.ts: JSON": "text that we wrote ourselves, in another thread",
  "src/enforcer/journal.ts: JSON": "text that we wrote ourselves, in another thread",
  "src/query/shortfalls.ts: JSON": "the data of an event that was read already, as the engine prints it",
  "src/query/select.ts: JSON": "what DuckDB's own parser makes of a statement",
  "src/audit/lock.ts: JSON":
    "the lock file, which a process of ours wrote as root; anything else in it is an unknown owner",
  "src/cli/policy-file.ts: read": "opens a file",
  "src/cli/workflow-files.ts: readWorkflows": "opens files",
  "src/kernel/interfaces.ts: JSON": "what `ip -json` prints",
  "src/posture/change/journal.ts: openJournal": "opens a file, whose text goes through parseUndo",
  "src/posture/sources/disk.ts: readRepository": "opens files",
  "src/posture/sources/github.ts: readOwner": "asks the API; each answer goes through the checks, field by field",
  "src/posture/sources/github.ts: readLargerRunners": "asks the API; names are taken where they are texts",
  "src/posture/sources/github.ts: readRepositories": "asks the API; names are taken where they are texts",
  "src/posture/sources/github.ts: readGithubRepository": "asks the API; its files go through the checks",
  "src/posture/sources/github-client.ts: JSON": "any answer, as it is; what is no JSON is a refusal that a test holds",
  "src/presets/machine.ts: readText": "opens a file",
  "src/presets/machine.ts: readTexts": "opens files",
  "src/presets/docker.ts: JSON": "the daemon's settings, root's own; a failure is a word on it",
  "src/datapath/flow-kind.ts: JSON": "text that the same thread has written, of a flow it has judged",
  "src/posture/fix/files.ts: JSON": "keys of a map that the same function has made",
  "src/kernel/settings.ts: JSON": "settings to give back, written by us as root",
  "src/kernel/sysctl.ts: readSysctl": "hands out the kernel's text as it is",
  "src/run/folder.ts: openReport": "opens a file to write",
  "src/run/slot.ts: JSON": "the slot's owner, written by us as root",
  "src/simulate/simulate.ts: JSON": "the report of our own `sallyport run`, in a folder of root's",
  "src/version.ts: JSON": "our own package.json",
};

/** What an exported function or class that reads foreign bytes or text looks like. */
const verbs = /^(?:parse|read|decode|open|classify|verify|recover|canonical)[A-Z]|^(?:decode|classify|recover|judge)$/;

const modules = modulesUnder("src");
const product = modules.filter(({ path }) => !/(\.test|[./]arbitrary)\.ts$|\/testing\/|test-support/.test(path));
const fuzzFiles = modules.filter(
  ({ path }) => path.endsWith(".test.ts") && /\bfuzzTarget\b/.test(modules.find((each) => each.path === path)!.text),
);

/** `target → the files that its test imports, directly`. */
const targets = new Map(
  fuzzFiles.flatMap((module) =>
    [...module.text.matchAll(/\bfuzzTarget(?:<[^;]*?>)?\(\{\s*name: "([a-z-]+)"/g)].map(
      (match) => [match[1]!, module] as const,
    ),
  ),
);

describe("the inventory", () => {
  test("names parsers that exist, and targets that do", () => {
    for (const [parser, target] of pairs) {
      const [path, name] = parser.split(": ") as [string, string];
      const module = product.find((each) => each.path === path);
      assert.ok(
        module !== undefined &&
          new RegExp(`export (?:async )?(?:function\\*?|class|const) ${name}\\b`).test(module.code),
        parser,
      );
      assert.ok(targets.has(target), `${parser}: no target ${target}`);
    }
    for (const parser of Object.keys(notParsers))
      assert.ok(
        product.some(({ path }) => path === parser.split(": ")[0]),
        parser,
      );
    const used = new Set([...pairs.map(([, target]) => target), ...servers]);
    assert.deepEqual(
      [...targets.keys()].filter((name) => !used.has(name)),
      [],
      "targets of no parser",
    );
  });

  test("a target runs through its parsers: its test loads each of their files", () => {
    const graph = new Map(modules.map(({ path, loads }) => [path, loads]));
    const reaches = (from: string): Set<string> => {
      const seen = new Set<string>();
      const visit = (path: string): void => {
        if (seen.has(path)) return;
        seen.add(path);
        for (const next of graph.get(path) ?? []) visit(next);
      };
      visit(from);
      return seen;
    };
    for (const [parser, target] of pairs) {
      assert.ok(reaches(targets.get(target)!.path).has(parser.split(": ")[0]!), `${target} does not reach ${parser}`);
    }
  });

  test("every exported function of bytes or text that reads as a parser is in it", () => {
    const missing = product.flatMap(({ path, code }) =>
      [...code.matchAll(/export (?:async )?function\*? (\w+)(?:<[^>]*>)?\(([^)]*)\)/g)]
        .filter(([, name, parameters]) => looksLikeParser(name!, parameters!))
        .map(([, name]) => `${path}: ${name}`)
        .filter((parser) => !(parser in parsers) && !(parser in notParsers)),
    );
    assert.deepEqual(missing, []);
  });

  test("every class that takes bytes is in it", () => {
    const missing = product.flatMap(({ path, code }) =>
      [...code.matchAll(/export class (\w+)[^{]*\{([\s\S]*?)\n\}/g)]
        .filter(([, , body]) => /^ {2}(?:add|push|write|read|over)\([^)]*(?:Uint8Array|Buffer)/m.test(body!))
        .map(([, name]) => `${path}: ${name}`)
        .filter((parser) => !(parser in parsers)),
    );
    assert.deepEqual(missing, []);
  });

  test("every file that reads JSON is in it, or says what it reads", () => {
    const known = new Set([...Object.keys(parsers), ...Object.keys(notParsers)].map((parser) => parser.split(": ")[0]));
    const missing = product
      .filter(({ path, code }) => /\bJSON\.parse\(/.test(code) && !known.has(path))
      .map(({ path }) => path);
    assert.deepEqual(missing, []);
  });
});

function looksLikeParser(name: string, parameters: string): boolean {
  if (!/:\s*(?:Uint8Array|Buffer|string|Cursor|readonly unknown\[\])/.test(parameters)) return false;
  return verbs.test(name);
}

describe("the corpus", () => {
  const folders = readdirSync(join(root, "test/corpus")).toSorted();

  test("has a folder for each target and no other", () => {
    assert.deepEqual(folders, [...targets.keys()].toSorted());
  });

  test("is small", () => {
    const sizes = folders.flatMap((folder) =>
      corpusOf(folder).map(({ name, bytes }) => [`${folder}/${name}`, bytes.length] as const),
    );
    assert.deepEqual(
      sizes.filter(([, size]) => size > 4096),
      [],
    );
    assert.ok(sizes.reduce((sum, [, size]) => sum + size, 0) < 300_000);
    assert.ok(sizes.length >= 3 * folders.length);
  });
});

/** Two test files run at a time (`scripts/test`). */
const minutes = (seconds: number) => (targets.size * seconds) / 2 / 60;

test("the time boxes of all targets fit into a run: four minutes here, twenty on the build server", () => {
  const server = Number(/SALLYPORT_FUZZ_SECONDS=(\d+)/.exec(readFileSync(join(root, ".ci/run"), "utf8"))?.[1]);
  const here = Number(
    /SALLYPORT_FUZZ_SECONDS"\] \?\? (\d+)/.exec(readFileSync(join(root, "test/support/fuzz.ts"), "utf8"))?.[1],
  );
  assert.ok(here >= 10 && minutes(here) <= 4, `${minutes(here)} minutes`);
  assert.ok(server >= 60 && minutes(server) <= 20, `${minutes(server)} minutes`);
  // The runner ends a file after five minutes of one test; files hold few targets, so that two at a time stay two.
  const perFile = Map.groupBy(targets.values(), ({ path }) => path);
  assert.ok([...perFile.values()].every((each) => each.length <= 4));
  assert.ok(statSync(join(root, "test/corpus")).isDirectory());
});

/** Tests that are given more cases on the build server, and how many decisions one case of theirs costs. */
const givenMoreCases: Record<string, number> = {
  "src/policy/diff.test.ts": 2_000,
  "src/policy/differential.test.ts": 1,
  "src/policy/explain.test.ts": 200,
  "src/posture/fix/lines.test.ts": 10_000,
};

test("no random test takes millions of decisions' time for as many cases of its own", () => {
  const found = modulesUnder("src", "test")
    .filter(({ text }) => /SALLYPORT_CASES"\]/.test(text))
    .map(({ path, text }) => [path, Number(/ \?\? [\d_]+\) \/ ([\d_]+)/.exec(text)?.[1]?.replaceAll("_", "") ?? 1)]);
  assert.deepEqual(Object.fromEntries(found), givenMoreCases);
});

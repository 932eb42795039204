/**
 * What a person accepts is let through, and nothing beside it; what he does not accept stands in the proposed file as refused,
 * so that enforcing it surprises nobody.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Event } from "../audit/event.ts";
import { SallyportError } from "../errors.ts";
import { isPolicyProblems, loadPolicy } from "../policy/load.ts";
import { contactOf } from "./contact.ts";
import { Memory } from "./memory.ts";
import { passes } from "./replay.ts";
import { connection, proposalOf } from "./testing/events.ts";

const front = { name: "d111.cloudfront.net", ip: "203.0.113.67" };
const sealed = connection({ ...front, ech: true });

function verdictOf(text: string, event: Event): string {
  const loaded = loadPolicy(text, "proposal", new Date(0));
  assert.ok(!isPolicyProblems(loaded), `${text}\n${JSON.stringify(loaded)}`);
  return passes(loaded.engine, contactOf(event, new Memory())!.facts).verdict;
}

describe("sealed hellos at a front", () => {
  test("are named in the file with the choice there is, whether or not the name is proposed for plain ones", () => {
    const alone = proposalOf([sealed]).text;
    assert.match(
      alone,
      /^# {3}d111\.cloudfront\.net:443 tls: Encrypted Client Hello at a front[^]*--accept, which\n?/m,
    );
    assert.match(
      alone.replaceAll(/\n# +/g, " "),
      /turn it off there, or --accept, which writes ech: allow for this name/,
    );
    assert.doesNotMatch(alone, /^ {6}- /m);
    const both = proposalOf([sealed, connection(front)]).text;
    assert.match(
      both.replaceAll(/\n# +/g, " "),
      /hellos without it are allowed below\. Jobs whose client sends it break/,
    );
    assert.deepEqual([verdictOf(both, sealed), verdictOf(both, connection(front))], ["deny", "allow"]);
  });

  test("accepted, pass by name and ech: allow with a reason, and not by the front's address, which is everybody's", () => {
    const { text, sources } = proposalOf([sealed, connection(front), connection()], {
      accept: new Set(["d111.cloudfront.net:443"]),
    });
    assert.match(text, /^ {4}ech: allow\n {4}reason: .+\n {4}to:\n {6}- d111\.cloudfront\.net$/m);
    assert.doesNotMatch(text, /203\.0\.113/);
    assert.deepEqual(sources[0]!.held, []);
    for (const event of [sealed, connection(front), connection()]) assert.equal(verdictOf(text, event), "allow", text);
    const other = connection({ name: "evil.cloudfront.net", ip: front.ip });
    assert.equal(verdictOf(text, other), "deny", text);
    assert.equal(verdictOf(text, connection({ ech: true, name: "other.cloudfront.net" })), "deny");
  });

  test("over QUIC too", () => {
    const quic = connection({ ...front, ech: true, protocol: "quic" });
    const { text } = proposalOf([quic, sealed], { accept: new Set(["d111.cloudfront.net:443"]) });
    for (const event of [quic, sealed]) assert.equal(verdictOf(text, event), "allow", text);
  });
});

describe("--accept", () => {
  const sink = connection({ name: "discord.com" });
  const hidden = connection({ name: "cdn.example", shown: "discord.com", ip: "198.51.100.66" });

  test("of a known sink does not accept the address that somebody hid behind its name", () => {
    assert.throws(
      () => proposalOf([sink, hidden], { accept: new Set(["discord.com:443"]) }),
      (error) =>
        error instanceof SallyportError &&
        error.code === "USAGE" &&
        error.message.includes("--accept 'discord.com:443=known_sink', --accept 'discord.com:443=name_mismatch'"),
    );
    const { text, sources } = proposalOf([sink, hidden], { accept: new Set(["discord.com:443=known_sink"]) });
    assert.match(text, /^ {6}- discord\.com$/m);
    assert.doesNotMatch(text, /198\.51\.100\.66/);
    assert.deepEqual(
      sources[0]!.held.map(({ doubt }) => doubt),
      ["name_mismatch"],
    );
  });

  test("of what packets did opens the name and not its address: no rule lets such packets through", () => {
    const odd = connection({ name: "odd.example", reason: "overlap" });
    const { text } = proposalOf([odd], { accept: new Set(["odd.example:443"]) });
    assert.match(text, /^ {6}- odd\.example$/m);
    assert.doesNotMatch(text, /203\.0\.113/);
  });

  test("says what it named in vain", () => {
    const accept = new Set(["discord.com:443=ech", "discord.com", "discord.com:443"]);
    assert.deepEqual(proposalOf([sink], { accept }).unused, ["discord.com", "discord.com:443=ech"]);
  });
});

test("what is held back stands in the file, for its source, the same whatever the order and the number", () => {
  const events = [
    connection({ group: "python", name: null, ip: "198.51.100.9", port: 5432, protocol: "tcp" }),
    connection({ group: "python" }),
    connection({ group: "rust", source: "10.2.0.1", name: "webhook.site" }),
    connection({ group: "rust", source: "10.2.0.1", name: "evil.example", verdict: "deny" }),
  ];
  const { text } = proposalOf(events);
  assert.match(
    text,
    /^# From python:\n# {3}198\.51\.100\.9:5432 tcp: a bare address[^]*From rust:\n# {3}webhook\.site:443 tls/m,
  );
  assert.doesNotMatch(text, /evil/);
  assert.equal(proposalOf([...events, ...events].toReversed()).text, text);
  const many = Array.from({ length: 60 }, (_, i) => connection({ name: null, ip: `198.51.100.${i}` }));
  assert.match(proposalOf(many).text, /^# {3}and 10 more$/m);
});

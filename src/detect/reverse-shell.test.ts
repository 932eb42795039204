/** The promise: a shell that somebody elsewhere types into is told, by whichever way; a shell of a build is not. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { programName, type Relay, reverseShell, type Stream } from "./reverse-shell.ts";

const connection: Stream = { kind: "internet", id: "socket:[1]", remote: "203.0.113.9:443" };
const local: Stream = { kind: "internet", id: "socket:[2]", remote: "127.0.0.1:443" };
const pipe = (id: string): Stream => ({ kind: "pipe", id, remote: null });
const terminal: Stream = { kind: "terminal", id: "4", remote: null };
const file: Stream = { kind: "other", id: "", remote: null };
const bash = { exe: "/usr/bin/bash", args: ["bash", "-i"] };
const relay: Relay = {
  pid: 7,
  exe: "/usr/bin/nc.openbsd",
  args: ["nc"],
  above: false,
  input: pipe("out"),
  terminals: [],
  remotes: ["203.0.113.9:443"],
};
const by = (other: Relay) => () => [other];
const nobody = () => [];

describe("told", () => {
  test("a shell, or an interpreter, whose input and output are a connection", () => {
    for (const shell of [bash, { exe: "/bin/busybox", args: ["sh"] }, { exe: "/usr/bin/python3.12", args: [] }]) {
      const found = reverseShell({ ...shell, input: connection, output: connection }, nobody);
      assert.deepEqual(found, { how: "socket", remote: "203.0.113.9:443", relay: null });
    }
  });

  test("a shell whose output goes into a relay's input", () => {
    assert.equal(reverseShell({ ...bash, input: pipe("in"), output: pipe("out") }, by(relay))?.how, "relay");
  });

  test("a shell that a relay started", () => {
    const above = { ...relay, above: true, input: file };
    assert.equal(reverseShell({ ...bash, input: pipe("a"), output: pipe("b") }, by(above))?.how, "relay");
  });

  test("a shell on a terminal whose other side is held by somebody with a connection", () => {
    const holder = { ...relay, exe: "/usr/bin/python3.12", terminals: ["4"] };
    assert.equal(reverseShell({ ...bash, input: terminal, output: terminal }, by(holder))?.how, "terminal");
  });
});

describe("not told", () => {
  const cases: [string, Parameters<typeof reverseShell>][] = [
    ["a shell that reads a file", [{ ...bash, input: file, output: connection }, nobody]],
    ["a shell on a connection within the machine", [{ ...bash, input: local, output: local }, nobody]],
    [
      "a program that is no shell",
      [{ exe: "/usr/sbin/sshd", args: [], input: connection, output: connection }, nobody],
    ],
    [
      "a shell on pipes of a program that has connections",
      [
        { ...bash, input: pipe("in"), output: pipe("out") },
        by({ ...relay, exe: "/usr/bin/node", args: ["npm"], above: true }),
      ],
    ],
    [
      "a shell beside a relay that reads something else",
      [{ ...bash, input: pipe("in"), output: pipe("elsewhere") }, by(relay)],
    ],
    [
      "a shell on another terminal",
      [{ ...bash, input: terminal, output: terminal }, by({ ...relay, terminals: ["5"] })],
    ],
    [
      "a shell behind a relay within the machine",
      [{ ...bash, input: pipe("in"), output: pipe("out") }, by({ ...relay, remotes: ["127.0.0.1:80"] })],
    ],
  ];
  for (const [name, facts] of cases) test(name, () => assert.equal(reverseShell(...facts), null));
});

test("a program of many names is the one that its arguments say", () => {
  assert.equal(programName("/bin/busybox", ["busybox", "ash", "-i"]), "ash");
  assert.equal(programName("/bin/busybox", ["/bin/sh"]), "sh");
  assert.equal(programName("/usr/bin/bash (deleted)", ["x"]), "bash");
});

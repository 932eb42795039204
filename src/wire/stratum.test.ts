/** Promises about miners' first words: recognised in every dialect, and other people's JSON is not mistaken for them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isStratum } from "./stratum.ts";

const bytes = (text: string) => Buffer.from(text);

const miners = {
  bitcoin: '{"id": 1, "method": "mining.subscribe", "params": ["cgminer/4.10.0"]}\n',
  "authorize first": '{"params": ["worker", "x"], "id": 2, "method": "mining.authorize"}\n',
  configure: '{"id":0,"method":"mining.configure","params":[["version-rolling"],{}]}\n',
  ethereum: '{"id":1,"jsonrpc":"2.0","method":"eth_submitLogin","params":["0xb8","x"],"worker":"a"}\n',
  monero:
    '{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"48edf","pass":"x","agent":"XMRig/6.21.0","algo":["rx/0"]}}\n',
  "two messages": '{"id":1,"method":"mining.subscribe","params":[]}\n{"id":2,"method":"mining.authorize"}\n',
  escaped: '{"id":1,"method":"\\u006dining.subscribe","params":[]}\n',
  "cut off": '{"id":1,"method":"mining.subscribe","params":["cgm',
};

for (const [name, text] of Object.entries(miners)) test(`a miner: ${name}`, () => assert.ok(isStratum(bytes(text))));

const others = {
  nothing: "",
  "another RPC": '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}\n',
  "another login": '{"method":"login","params":{"user":"a","password":"b"}}\n',
  "a login of words": '{"method":"login","params":["a","b"]}\n',
  "a text about mining": '{"text":"mining.subscribe"}\n',
  "HTTP with it": 'POST / HTTP/1.1\r\n\r\n{"method":"mining.subscribe"}',
  "no JSON": "{{{{",
  null: "{}\n",
};

for (const [name, text] of Object.entries(others)) test(`no miner: ${name}`, () => assert.ok(!isStratum(bytes(text))));

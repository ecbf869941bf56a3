// Drives sa-sdk-miniprogram, unchanged, on a `wx` that behaves as WeChat's: miniprogram.cjs <packages> <options>.
// `wx.request` calls `success` for whatever HTTP status there is, and `fail` only where there was no answer.
// A line {"method", "args"} on standard input is a call of the SDK, or of the app's life if the method begins
// with "app." (app.show, app.hide); each is answered by a line. Ends when its input does.
"use strict";
const http = require("node:http");
const readline = require("node:readline");

const [packages, given] = process.argv.slice(2);
const { para, aes, stored } = JSON.parse(given);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
console.log = (...words) => process.stderr.write(`${words.join(" ")}\n`); // plugins talk
const storage = new Map(Object.entries(stored || {}));
const listeners = { show: [], hide: [] };
const launch = { path: "pages/home/home", query: { from: "menu" }, scene: 1001 };
const soon = (call, ...args) => call && setTimeout(() => call(...args), 0);

function request({ url, data, header, method, timeout, success, fail, complete }) {
  const isGet = (method || "GET") === "GET";
  const ended = (call, result) => { soon(call, result); soon(complete, result); };
  const asked = http.request(url, {
    method: method || "GET",
    headers: {
      "content-type": "application/json",
      ...(header || {}),
      referer: "https://servicewechat.com/wx0123456789abcdef/12/page-frame.html",
    },
    timeout: timeout || 60000,
  }, (answer) => {
    const parts = [];
    answer.on("data", (part) => parts.push(part));
    answer.on("end", () => ended(success, {
      data: Buffer.concat(parts).toString(), statusCode: answer.statusCode, header: answer.headers,
      errMsg: "request:ok",
    }));
    answer.on("error", () => ended(fail, { errMsg: "request:fail" }));
  });
  asked.on("timeout", () => asked.destroy(new Error("timeout")));
  asked.on("error", (error) => ended(fail, { errMsg: `request:fail ${error.message}` }));
  asked.end(isGet ? undefined : data);
  return { abort: () => asked.destroy() };
}

global.wx = {
  request,
  getStorageSync: (key) => storage.get(key) ?? "",
  setStorageSync: (key, value) => { storage.set(key, JSON.parse(JSON.stringify(value))); },
  getStorage: ({ key, success, fail, complete }) => {
    const found = storage.has(key);
    const result = found ? { data: storage.get(key), errMsg: "getStorage:ok" } : { errMsg: "getStorage:fail" };
    soon(found ? success : fail, result);
    soon(complete, result);
  },
  getNetworkType: ({ success, complete }) => { soon(success, { networkType: "wifi" }); soon(complete, { networkType: "wifi" }); },
  getSystemInfo: ({ success, complete }) => {
    const system = {
      brand: "HUAWEI", model: "P60", system: "Android 14", platform: "android", version: "8.0.49",
      SDKVersion: "3.4.0", screenWidth: 412, screenHeight: 915, pixelRatio: 2.6,
    };
    soon(success, system);
    soon(complete, system);
  },
  getLaunchOptionsSync: () => launch,
  getAccountInfoSync: () => ({ miniProgram: { appId: "wx0123456789abcdef", envVersion: "release" } }),
  onAppShow: (call) => listeners.show.push(call),
  onAppHide: (call) => listeners.hide.push(call),
  login: ({ success }) => soon(success, { code: "code" }),
  setNavigationBarTitle: () => {},
};
let app = {};
global.App = (option) => { app = option; };
global.Page = () => {};
global.Component = () => {};
global.getCurrentPages = () => [{ route: "pages/home/home", options: {} }];
global.getApp = () => app;

const sa = require(`${packages}/sa-sdk-miniprogram`);
sa.setPara({ show_log: false, ...para });
if (aes) {
  sa.usePlugin(require(`${packages}/sa-sdk-miniprogram/plugins/aes.cmd.min.js`), aes);
}
App({});
sa.init();

const lives = {
  "app.show": () => listeners.show.forEach((call) => call(launch)),
  "app.hide": () => listeners.hide.forEach((call) => call()),
  "app.storage": () => say({ storage: Object.fromEntries(storage) }),
};
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { method, args } = JSON.parse(line);
  (lives[method] || sa[method]).apply(sa, args || []);
  say({ done: method });
}).on("close", () => process.exit(0));
say({ done: "start" });

// The Worker of litefs-s3.js: runs the program in litefs-s3.wasm and passes messages between it and the page.
//
//   page → Worker   {module}                       the compiled program, once
//                   {id, op, args}                 call a function of the program (web/wasm/main.go lists them)
//                   {answer, value | error}        to a question
//   Worker → page   {id, value | error}            what the call has returned
//                   {question, what, …}            credentials, or a URL
//                   {ended}                        the program is no more, and why
import "./wasm_exec.js";

const questions = new Map(); // number → {resolve, reject}
let asked = 0;
let memory;

// litefsS3Ask is how the program asks the page something.
globalThis.litefsS3Ask = (question) =>
  new Promise((resolve, reject) => {
    questions.set(++asked, { resolve, reject });
    postMessage({ question: asked, ...question });
  });

const ready = new Promise((resolve) => {
  globalThis.litefsS3Ready = resolve;
});

async function boot(module) {
  const go = new globalThis.Go();
  let ended = "it has ended";
  try {
    const instance = await WebAssembly.instantiate(module, go.importObject);
    memory = instance.exports.mem;
    await go.run(instance);
  } catch (err) {
    ended = String(err);
  }
  postMessage({ ended });
}

async function call({ id, op, args }) {
  await ready;
  try {
    const value = await globalThis.litefsS3[op](...args);
    if (value?.batch) {
      postMessage({ id, value }, [value.batch.buffer]);
    } else {
      postMessage({ id, value: op === "status" ? { json: value, memory: memory.buffer.byteLength } : value });
    }
  } catch (err) {
    postMessage({ id, error: { code: err.code ?? "OTHER", message: err.message ?? String(err), cause: err.cause } });
  }
}

function answer({ answer, value, error }) {
  const question = questions.get(answer);
  questions.delete(answer);
  if (error === undefined) {
    question.resolve(value);
  } else {
    question.reject(new Error(error));
  }
}

onmessage = ({ data }) => {
  if (data.module) {
    boot(data.module);
  } else if (data.answer) {
    answer(data);
  } else {
    call(data);
  }
};

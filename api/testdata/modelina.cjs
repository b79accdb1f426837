// Has Modelina make the models of a copy of the AsyncAPI document: in TypeScript
// below ts of the folder it is given, in Go below go. Prints their names.
const fs = require("fs");
const path = require("path");
const { GoGenerator, TypeScriptGenerator } = require("@asyncapi/modelina");
const { Parser, fromFile } = require("@asyncapi/parser");

async function main(file, folder) {
  const { document } = await fromFile(new Parser(), file).parse();
  const names = new Set();
  const write = (ending, models) => {
    fs.mkdirSync(path.join(folder, ending));
    for (const m of models) {
      names.add(m.modelName);
      fs.writeFileSync(path.join(folder, ending, `${m.modelName}.${ending}`), m.result);
    }
  };
  const typescript = new TypeScriptGenerator({ modelType: "interface", rawPropertyNames: true });
  write("ts", await typescript.generateCompleteModels(document, { exportType: "named", moduleSystem: "ESM" }));
  write("go", await new GoGenerator().generateCompleteModels(document, { packageName: "events" }));
  console.log(JSON.stringify([...names].sort()));
}

main(process.argv[2], process.argv[3]).catch((e) => { console.error(e); process.exit(1); });

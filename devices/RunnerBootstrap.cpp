#include "devices/RunnerBootstrap.h"

#include "text/Json.h"

#include "llvm/Support/Base64.h"
#include "llvm/Support/MemoryBuffer.h"

namespace flagrelease {

namespace {

// Runs in the second interpreter: descriptor %FD% holds the bundle. The helper becomes the module fr_runner, with sources
// in linecache so that tracebacks show lines.
const char kStage2[] = R"(import json,linecache,os,sys,types
with os.fdopen(int(sys.argv[1]),"rb") as f: b=json.loads(f.read().decode())
sys.argv=[b["script_name"]]
def load(module,name,text):
    linecache.cache[name]=(len(text),None,text.splitlines(True),name)
    module.__dict__["__file__"]=name
    exec(compile(text,name,"exec"),module.__dict__)
m=types.ModuleType("fr_runner")
sys.modules["fr_runner"]=m
load(m,"fr_runner.py",b["helper"])
load(sys.modules["__main__"],b["script_name"],b["script"])
)";

FailureOr<std::string> readScript(const std::string &path, Diagnostics &diags) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return diags.error(path, "cannot read the runner script: " + buffer.getError().message(),
                       "name a script of devices/runners, or a path", Cause::Environment);
  if ((*buffer)->getBufferSize() > (size_t(1) << 20))
    return diags.error(path, "a runner script of " + Twine((*buffer)->getBufferSize()) + " bytes, more than 1 MiB",
                       "move what is big into a package on the far side", Cause::Input);
  return (*buffer)->getBuffer().str();
}

} // namespace

std::vector<std::string> runnerInterpreterArguments() { return {"-q", "-i"}; }

FailureOr<std::string> runnerBootstrap(const std::string &helperPath, const std::string &scriptPath,
                                       const std::map<std::string, std::string> &env, Diagnostics &diags) {
  FailureOr<std::string> helper = readScript(helperPath, diags), script = readScript(scriptPath, diags);
  if (failed(helper) || failed(script))
    return failure();
  json::Object variables;
  for (const auto &[name, value] : env)
    variables.set(name, value);
  size_t slash = scriptPath.find_last_of('/');
  json::Object bundle{{"helper", *helper},
                      {"script", *script},
                      {"script_name", slash == std::string::npos ? scriptPath : scriptPath.substr(slash + 1)}};
  auto base64 = [](const std::string &text) { return llvm::encodeBase64(text); };
  // One line, one statement after another: an interactive interpreter executes it when the line ends.
  return "import os,sys,json,base64,tempfile;d=base64.b64decode;"
         "f=os.fdopen(os.memfd_create('runner',0),'w+b') if hasattr(os,'memfd_create') else tempfile.TemporaryFile();"
         "n=f.write(d('" +
         base64(json::toText(json::Value(std::move(bundle)))) +
         "'));f.flush();n=f.seek(0);"
         "os.set_inheritable(f.fileno(),True);"
         "os.environ.update(json.loads(d('" +
         base64(json::toText(json::Value(std::move(variables)))) +
         "').decode()));"
         "os.execv(sys.executable,[sys.executable,'-c',d('" +
         base64(kStage2) + "').decode(),str(f.fileno())])\n";
}

} // namespace flagrelease

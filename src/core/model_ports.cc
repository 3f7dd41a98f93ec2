#include "core/model_ports.h"

#include <utility>

namespace tessera::core {
namespace {

/// A port's call as a model; only relay() is ever asked.
class PortModel final : public ChatModel {
 public:
  PortModel(ModelPorts ports, PortKind kind) : ports_(std::move(ports)), kind_(kind) {}
  [[nodiscard]] bool relays() const override { return true; }
  Task<base::Result<std::string>> relay(const RequestContext& context, const RelayRequest& request, RelaySink* sink,
                                        RelayReport& report) override {
    switch (kind_) {
      case PortKind::embeddings:
        return ports_.embeddings->embeddings(context, request, report);
      case PortKind::rerank:
        return ports_.rerank->rerank(context, request, report);
      case PortKind::responses:
        return ports_.responses->respond(context, request, sink, report);
      case PortKind::transcription:
        break;
    }
    return ports_.transcription->transcribe(context, request, sink, report);
  }
  Task<base::Result<ChatCompletion>> generate(const RequestContext&, const ChatRequest&, ChatSink*) override {
    co_return base::fail(base::Code::internal, "NOT_A_CHAT_MODEL", "A port was asked to chat; this is a bug.");
  }

 private:
  ModelPorts ports_;
  PortKind kind_;
};

/// A model as the ports that it was made of.
class ModelPort final : public EmbeddingsRelay, public RerankRelay, public ResponsesRelay, public TranscriptionRelay {
 public:
  explicit ModelPort(std::shared_ptr<ChatModel> model) : model_(std::move(model)) {}
  Task<base::Result<std::string>> embeddings(const RequestContext& context, const RelayRequest& request,
                                             RelayReport& report) override {
    return model_->relay(context, request, nullptr, report);
  }
  Task<base::Result<std::string>> rerank(const RequestContext& context, const RelayRequest& request,
                                         RelayReport& report) override {
    return model_->relay(context, request, nullptr, report);
  }
  Task<base::Result<std::string>> respond(const RequestContext& context, const RelayRequest& request, RelaySink* sink,
                                          RelayReport& report) override {
    return model_->relay(context, request, sink, report);
  }
  Task<base::Result<std::string>> transcribe(const RequestContext& context, const RelayRequest& request,
                                             RelaySink* sink, RelayReport& report) override {
    return model_->relay(context, request, sink, report);
  }

 private:
  std::shared_ptr<ChatModel> model_;
};

/// Calls f with the member of ModelPorts that is the port of this kind.
template <class F>
void with_member(PortKind kind, F&& f) {
  switch (kind) {
    case PortKind::embeddings:
      return f(&ModelPorts::embeddings);
    case PortKind::rerank:
      return f(&ModelPorts::rerank);
    case PortKind::responses:
      return f(&ModelPorts::responses);
    case PortKind::transcription:
      return f(&ModelPorts::transcription);
  }
}

}  // namespace

std::shared_ptr<ChatModel> port_model(const ModelPorts& ports, PortKind kind) {
  ModelPorts one;  // it keeps no other alive
  bool there = false;
  with_member(kind, [&](auto member) { there = (one.*member = ports.*member) != nullptr; });
  return there ? std::make_shared<PortModel>(std::move(one), kind) : nullptr;
}

void set_port(ModelPorts& ports, PortKind kind, std::shared_ptr<ChatModel> model) {
  const auto port = model == nullptr ? nullptr : std::make_shared<ModelPort>(std::move(model));
  with_member(kind, [&](auto member) { ports.*member = port; });
}

ModelPorts wrap_ports(ModelPorts ports, const ModelWrap& wrap) {
  for (const PortKind kind : kPortKinds) {
    if (auto model = port_model(ports, kind)) set_port(ports, kind, wrap(std::move(model)));
  }
  return ports;
}

}  // namespace tessera::core

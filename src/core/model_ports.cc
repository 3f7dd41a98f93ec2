#include "core/model_ports.h"

#include <utility>

namespace tessera::core {
namespace {

/// A port's call as a model; only relay() is ever asked.
class PortModel : public ChatModel {
 public:
  [[nodiscard]] bool relays() const final { return true; }
  Task<base::Result<ChatCompletion>> generate(const RequestContext&, const ChatRequest&, ChatSink*) final {
    co_return base::fail(base::Code::internal, "NOT_A_CHAT_MODEL", "A port was asked to chat; this is a bug.");
  }
};

class EmbeddingsModel final : public PortModel {
 public:
  explicit EmbeddingsModel(std::shared_ptr<EmbeddingsRelay> port) : port_(std::move(port)) {}
  Task<base::Result<std::string>> relay(const RequestContext& context, const RelayRequest& request, RelaySink*,
                                        RelayReport& report) override {
    return port_->embeddings(context, request, report);
  }

 private:
  std::shared_ptr<EmbeddingsRelay> port_;
};

class RerankModel final : public PortModel {
 public:
  explicit RerankModel(std::shared_ptr<RerankRelay> port) : port_(std::move(port)) {}
  Task<base::Result<std::string>> relay(const RequestContext& context, const RelayRequest& request, RelaySink*,
                                        RelayReport& report) override {
    return port_->rerank(context, request, report);
  }

 private:
  std::shared_ptr<RerankRelay> port_;
};

class ResponsesModel final : public PortModel {
 public:
  explicit ResponsesModel(std::shared_ptr<ResponsesRelay> port) : port_(std::move(port)) {}
  Task<base::Result<std::string>> relay(const RequestContext& context, const RelayRequest& request, RelaySink* sink,
                                        RelayReport& report) override {
    return port_->respond(context, request, sink, report);
  }

 private:
  std::shared_ptr<ResponsesRelay> port_;
};

/// One transcription: its answer has a content type besides the bytes that relay() gives back.
class TranscriptionModel final : public PortModel {
 public:
  TranscriptionModel(std::shared_ptr<TranscriptionRelay> port, const TranscriptionRequest& request,
                     std::string& content_type)
      : port_(std::move(port)), request_(request), content_type_(content_type) {}
  Task<base::Result<std::string>> relay(const RequestContext& context, const RelayRequest&, RelaySink*,
                                        RelayReport& report) override {
    TESSERA_CO_TRY(Transcription made, co_await port_->transcribe(context, request_, report));
    content_type_ = std::move(made.content_type);
    co_return std::move(made.body);
  }

 private:
  std::shared_ptr<TranscriptionRelay> port_;
  const TranscriptionRequest& request_;
  std::string& content_type_;
};

/// A model as the ports that it was made of.
class WrappedPorts final : public EmbeddingsRelay, public RerankRelay, public ResponsesRelay {
 public:
  explicit WrappedPorts(std::shared_ptr<ChatModel> model) : model_(std::move(model)) {}
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

 private:
  std::shared_ptr<ChatModel> model_;
};

class WrappedTranscription final : public TranscriptionRelay {
 public:
  WrappedTranscription(std::shared_ptr<TranscriptionRelay> port, ModelWrap wrap)
      : port_(std::move(port)), wrap_(std::move(wrap)) {}
  Task<base::Result<Transcription>> transcribe(const RequestContext& context, const TranscriptionRequest& request,
                                               RelayReport& report) override {
    Transcription made;
    const auto model = wrap_(std::make_shared<TranscriptionModel>(port_, request, made.content_type));
    RelayRequest ask;
    ask.model = request.model;
    ask.body = "{}";
    TESSERA_CO_TRY(made.body, co_await model->relay(context, ask, nullptr, report));
    co_return made;
  }

 private:
  std::shared_ptr<TranscriptionRelay> port_;
  ModelWrap wrap_;
};

}  // namespace

ModelPorts wrap_ports(ModelPorts ports, ModelWrap wrap) {
  if (ports.embeddings != nullptr) {
    ports.embeddings = std::make_shared<WrappedPorts>(wrap(std::make_shared<EmbeddingsModel>(ports.embeddings)));
  }
  if (ports.rerank != nullptr) {
    ports.rerank = std::make_shared<WrappedPorts>(wrap(std::make_shared<RerankModel>(ports.rerank)));
  }
  if (ports.responses != nullptr) {
    ports.responses = std::make_shared<WrappedPorts>(wrap(std::make_shared<ResponsesModel>(ports.responses)));
  }
  if (ports.transcription != nullptr) {
    ports.transcription = std::make_shared<WrappedTranscription>(ports.transcription, std::move(wrap));
  }
  return ports;
}

}  // namespace tessera::core

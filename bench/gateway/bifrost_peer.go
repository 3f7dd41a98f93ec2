// Bifrost's core behind fasthttp, for the tables of this folder: its own HTTP server (bifrost/transports) cannot be had
// from the module proxy. It reads a chat completion, asks the core, writes the answer or the stream, and does nothing
// else: no key check, no budget, no log, no metrics. A lower bound of what Bifrost costs.
//
//	bifrost_peer PORT BASE_URL     BASE_URL without /v1, as Bifrost wants it
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/bytedance/sonic"
	bifrost "github.com/maximhq/bifrost/core"
	"github.com/maximhq/bifrost/core/schemas"
	"github.com/valyala/fasthttp"
)

type account struct{ base string }

func (a account) GetConfiguredProviders() ([]schemas.ModelProvider, error) {
	return []schemas.ModelProvider{schemas.OpenAI}, nil
}

func (a account) GetKeysForProvider(*context.Context, schemas.ModelProvider) ([]schemas.Key, error) {
	return []schemas.Key{{ID: "one", Name: "one", Value: "sk-upstream", Weight: 1}}, nil
}

func (a account) GetConfigForProvider(schemas.ModelProvider) (*schemas.ProviderConfig, error) {
	return &schemas.ProviderConfig{
		NetworkConfig:            schemas.NetworkConfig{BaseURL: a.base, DefaultRequestTimeoutInSeconds: 600},
		ConcurrencyAndBufferSize: schemas.ConcurrencyAndBufferSize{Concurrency: 4000, BufferSize: 8000},
	}, nil
}

type ask struct {
	Model    string                `json:"model"`
	Messages []schemas.ChatMessage `json:"messages"`
	Stream   bool                  `json:"stream"`
}

func fail(ctx *fasthttp.RequestCtx, why any) {
	ctx.SetStatusCode(500)
	text, _ := sonic.Marshal(why)
	ctx.SetBody(text)
}

func stream(ctx *fasthttp.RequestCtx, client *bifrost.Bifrost, request *schemas.BifrostChatRequest) {
	chunks, failure := client.ChatCompletionStreamRequest(context.Background(), request)
	if failure != nil {
		fail(ctx, failure)
		return
	}
	ctx.SetContentType("text/event-stream")
	ctx.SetBodyStreamWriter(func(out *bufio.Writer) {
		for chunk := range chunks {
			data, err := sonic.Marshal(chunk)
			if err != nil {
				return
			}
			fmt.Fprintf(out, "data: %s\n\n", data)
			if out.Flush() != nil {
				return
			}
		}
		fmt.Fprint(out, "data: [DONE]\n\n")
	})
}

func main() {
	client, err := bifrost.Init(context.Background(), schemas.BifrostConfig{
		Account: account{os.Args[2]}, InitialPoolSize: 5000, Logger: bifrost.NewDefaultLogger(schemas.LogLevelError)})
	if err != nil {
		panic(err)
	}
	handle := func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) != "/v1/chat/completions" {
			ctx.SetBodyString("ok")
			return
		}
		var body ask
		var params schemas.ChatParameters
		if err := sonic.Unmarshal(ctx.PostBody(), &body); err != nil {
			fail(ctx, err.Error())
			return
		}
		if err := sonic.Unmarshal(ctx.PostBody(), &params); err != nil {
			fail(ctx, err.Error())
			return
		}
		request := &schemas.BifrostChatRequest{Provider: schemas.OpenAI, Model: body.Model, Input: body.Messages, Params: &params}
		if body.Stream {
			stream(ctx, client, request)
			return
		}
		answer, failure := client.ChatCompletionRequest(context.Background(), request)
		if failure != nil {
			fail(ctx, failure)
			return
		}
		data, err := sonic.Marshal(answer)
		if err != nil {
			fail(ctx, err.Error())
			return
		}
		ctx.SetContentType("application/json")
		ctx.SetBody(data)
	}
	server := &fasthttp.Server{Handler: handle, MaxRequestBodySize: 64 << 20, Concurrency: 100000}
	panic(server.ListenAndServe("127.0.0.1:" + os.Args[1]))
}

// An executor plugin on HashiCorp's library, as the tests' peer. What it does says the key "do" of
// the job's settings. Under which name it offers its service says the name of its file, so that one
// program stands for plugins of all generations.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"wire"
)

func ownGeneration() wire.Generation {
	name := filepath.Base(os.Args[0])
	switch {
	case strings.HasSuffix(name, "-oldest"):
		return wire.Generations[2]
	case strings.HasSuffix(name, "-older"):
		return wire.Generations[1]
	default:
		return wire.Generations[0]
	}
}

type executor struct {
	broker *plugin.GRPCBroker
	names  wire.Generation
}

func (e *executor) execute(ctx context.Context, request *wire.ExecuteRequest) (*wire.ExecuteResponse, error) {
	tell := func(text string) error { return nil }
	if e.names.Updates != "" {
		connection, err := e.broker.Dial(request.StatusServer)
		if err != nil {
			return nil, err
		}
		defer connection.Close()
		tell = func(text string) error {
			update := &wire.UpdateRequest{Output: []byte(text)}
			return connection.Invoke(context.Background(), "/"+e.names.Updates+"/Update", update, &wire.UpdateResponse{})
		}
	}
	number, _ := strconv.Atoi(request.Config["count"])
	switch request.Config["do"] {
	case "tell":
		for i := 1; i <= number; i++ {
			if err := tell(fmt.Sprintf("line %d\n", i)); err != nil {
				return &wire.ExecuteResponse{Error: err.Error()}, nil
			}
		}
		return &wire.ExecuteResponse{}, nil
	case "wait":
		tell("waiting\n")
		if request.Config["child"] != "" {
			exec.Command("sleep", request.Config["child"]).Start()
		}
		select {
		case <-time.After(time.Duration(number) * time.Second):
			return &wire.ExecuteResponse{Output: []byte("waited\n")}, nil
		case <-ctx.Done():
			os.WriteFile(request.Config["file"], []byte(ctx.Err().Error()), 0o600)
			return nil, ctx.Err()
		}
	case "crash":
		tell("about to crash\n")
		panic("nothing works")
	case "exit":
		os.Exit(number)
	case "big":
		return &wire.ExecuteResponse{Output: []byte(strings.Repeat("0123456789abcde\n", number<<16))}, nil
	case "fail":
		return &wire.ExecuteResponse{Output: []byte("half of it\n"), Error: "it did not work"}, nil
	case "refuse":
		return nil, fmt.Errorf("no such thing")
	case "print":
		fmt.Println("printed by the plugin")
		fmt.Fprintln(os.Stderr, "[WARN] complained by the plugin")
	}
	return &wire.ExecuteResponse{Output: []byte(describe(ctx, request))}, nil
}

func describe(ctx context.Context, request *wire.ExecuteRequest) string {
	lines := []string{"job " + request.JobName}
	for key, value := range request.Config {
		lines = append(lines, key+"="+value)
	}
	fields, _ := metadata.FromIncomingContext(ctx)
	for key, values := range fields {
		if strings.HasPrefix(key, "dkron-") {
			lines = append(lines, key+": "+values[0])
		}
	}
	sort.Strings(lines[1:])
	return strings.Join(lines, "\n") + "\n"
}

type executorPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	names wire.Generation
}

func (p *executorPlugin) GRPCServer(broker *plugin.GRPCBroker, server *grpc.Server) error {
	method := grpc.MethodDesc{
		MethodName: "Execute",
		Handler: func(service interface{}, ctx context.Context, decode func(interface{}) error,
			_ grpc.UnaryServerInterceptor) (interface{}, error) {
			request := new(wire.ExecuteRequest)
			if err := decode(request); err != nil {
				return nil, err
			}
			return service.(*executor).execute(ctx, request)
		},
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: p.names.Executor,
		HandlerType: (*interface{})(nil),
		Methods:     []grpc.MethodDesc{method},
	}, &executor{broker, p.names})
	return nil
}

func (p *executorPlugin) GRPCClient(context.Context, *plugin.GRPCBroker,
	*grpc.ClientConn) (interface{}, error) {
	return nil, fmt.Errorf("this is a plugin, and no host")
}

func main() {
	if marker := os.Getenv("PLUGIN_TEST_EARLY"); marker != "" {
		fmt.Println(marker)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: wire.Handshake,
		Plugins:         map[string]plugin.Plugin{"executor": &executorPlugin{names: ownGeneration()}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}

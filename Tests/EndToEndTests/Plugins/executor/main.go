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

	"github.com/golang/protobuf/proto"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

type executeRequest struct {
	JobName      string            `protobuf:"bytes,1,opt,name=job_name,json=jobName,proto3"`
	Config       map[string]string `protobuf:"bytes,2,rep,name=config,proto3" protobuf_key:"bytes,1,opt,name=key,proto3" protobuf_val:"bytes,2,opt,name=value,proto3"`
	StatusServer uint32            `protobuf:"varint,3,opt,name=status_server,json=statusServer,proto3"`
}

func (m *executeRequest) Reset()         { *m = executeRequest{} }
func (m *executeRequest) String() string { return proto.CompactTextString(m) }
func (*executeRequest) ProtoMessage()    {}

type executeResponse struct {
	Output []byte `protobuf:"bytes,1,opt,name=output,proto3"`
	Error  string `protobuf:"bytes,2,opt,name=error,proto3"`
}

func (m *executeResponse) Reset()         { *m = executeResponse{} }
func (m *executeResponse) String() string { return proto.CompactTextString(m) }
func (*executeResponse) ProtoMessage()    {}

type updateRequest struct {
	Output []byte `protobuf:"bytes,2,opt,name=output,proto3"`
	Error  bool   `protobuf:"varint,3,opt,name=error,proto3"`
}

func (m *updateRequest) Reset()         { *m = updateRequest{} }
func (m *updateRequest) String() string { return proto.CompactTextString(m) }
func (*updateRequest) ProtoMessage()    {}

type updateResponse struct {
	R int64 `protobuf:"varint,1,opt,name=r,proto3"`
}

func (m *updateResponse) Reset()         { *m = updateResponse{} }
func (m *updateResponse) String() string { return proto.CompactTextString(m) }
func (*updateResponse) ProtoMessage()    {}

// Names of the services, of one generation.
type generation struct {
	execute, update string
}

func ownGeneration() generation {
	name := filepath.Base(os.Args[0])
	switch {
	case strings.HasSuffix(name, "-oldest"):
		return generation{"dkron.Executor", ""}
	case strings.HasSuffix(name, "-older"):
		return generation{"types.Executor", "/types.StatusHelper/Update"}
	default:
		return generation{"types.v1.ExecutorService", "/types.v1.StatusHelperService/Update"}
	}
}

type executor struct {
	broker *plugin.GRPCBroker
	names  generation
}

func (e *executor) execute(ctx context.Context, request *executeRequest) (*executeResponse, error) {
	tell := func(text string) error { return nil }
	if e.names.update != "" {
		connection, err := e.broker.Dial(request.StatusServer)
		if err != nil {
			return nil, err
		}
		defer connection.Close()
		tell = func(text string) error {
			update := &updateRequest{Output: []byte(text)}
			return connection.Invoke(context.Background(), e.names.update, update, &updateResponse{})
		}
	}
	number, _ := strconv.Atoi(request.Config["count"])
	switch request.Config["do"] {
	case "tell":
		for i := 1; i <= number; i++ {
			if err := tell(fmt.Sprintf("line %d\n", i)); err != nil {
				return &executeResponse{Error: err.Error()}, nil
			}
		}
		return &executeResponse{}, nil
	case "wait":
		tell("waiting\n")
		if request.Config["child"] != "" {
			exec.Command("sleep", request.Config["child"]).Start()
		}
		select {
		case <-time.After(time.Duration(number) * time.Second):
			return &executeResponse{Output: []byte("waited\n")}, nil
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
		return &executeResponse{Output: []byte(strings.Repeat("0123456789abcde\n", number<<16))}, nil
	case "fail":
		return &executeResponse{Output: []byte("half of it\n"), Error: "it did not work"}, nil
	case "refuse":
		return nil, fmt.Errorf("no such thing")
	case "print":
		fmt.Println("printed by the plugin")
		fmt.Fprintln(os.Stderr, "[WARN] complained by the plugin")
	}
	return &executeResponse{Output: []byte(describe(ctx, request))}, nil
}

func describe(ctx context.Context, request *executeRequest) string {
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
	names generation
}

func (p *executorPlugin) GRPCServer(broker *plugin.GRPCBroker, server *grpc.Server) error {
	method := grpc.MethodDesc{
		MethodName: "Execute",
		Handler: func(service interface{}, ctx context.Context, decode func(interface{}) error,
			_ grpc.UnaryServerInterceptor) (interface{}, error) {
			request := new(executeRequest)
			if err := decode(request); err != nil {
				return nil, err
			}
			return service.(*executor).execute(ctx, request)
		},
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: p.names.execute,
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
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion:  1,
			MagicCookieKey:   "DKRON_PLUGIN_MAGIC_COOKIE",
			MagicCookieValue: "b29a76488b6f3ca7955c5f769b50641f0fcd88748d8cedecda313d516320ca19",
		},
		Plugins:    map[string]plugin.Plugin{"executor": &executorPlugin{names: ownGeneration()}},
		GRPCServer: plugin.DefaultGRPCServer,
	})
}

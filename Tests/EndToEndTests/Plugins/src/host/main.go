// A host of plugins on HashiCorp's library, as Dkron's own is one: the tests' peer for plugins of
// ours. It starts one plugin, calls it, and prints what comes of it, a line each.
//
//	host executor|processor PATH [OPTION=VALUE...] [-- KEY=VALUE...]
//
// Options: generation (0: the newest name of the service ... 2: the oldest), cancel (milliseconds
// until the call is cancelled), calls (how many at a time), die (milliseconds until this process
// ends without a word to the plugin), leave (1: end the plugin while the call is under way), linger
// (milliseconds between the end of the calls and that of the plugin).
package main

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	hclog "github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"wire"
)

var printing sync.Mutex

func say(format string, values ...interface{}) {
	printing.Lock()
	defer printing.Unlock()
	fmt.Printf(format+"\n", values...)
}

type executor struct {
	broker     *plugin.GRPCBroker
	connection *grpc.ClientConn
	generation int
}

func update(service interface{}, _ context.Context, decode func(interface{}) error,
	_ grpc.UnaryServerInterceptor) (interface{}, error) {
	request := new(wire.UpdateRequest)
	if err := decode(request); err != nil {
		return nil, err
	}
	say("update %v %q", request.Error, request.Output)
	return &wire.UpdateResponse{}, nil
}

func (e *executor) execute(ctx context.Context, config map[string]string) {
	names := wire.Generations[e.generation]
	request := &wire.ExecuteRequest{JobName: "job", Config: config}
	stop := func() {}
	if names.Updates != "" {
		request.StatusServer = e.broker.NextId()
		made := make(chan *grpc.Server, 1)
		go e.broker.AcceptAndServe(request.StatusServer, func(options []grpc.ServerOption) *grpc.Server {
			server := grpc.NewServer(options...)
			server.RegisterService(&grpc.ServiceDesc{
				ServiceName: names.Updates,
				HandlerType: (*interface{})(nil),
				Methods:     []grpc.MethodDesc{{MethodName: "Update", Handler: update}},
			}, e)
			made <- server
			return server
		})
		stop = func() { (<-made).Stop() }
	}
	response := new(wire.ExecuteResponse)
	err := e.connection.Invoke(ctx, "/"+names.Executor+"/Execute", request, response)
	stop()
	if err != nil {
		say("failed %v", err)
		return
	}
	if len(response.Output) > 4096 {
		say("output of %d bytes", len(response.Output))
	} else {
		say("output %q", response.Output)
	}
	say("error %q", response.Error)
}

type executorPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	generation int
}

func (p *executorPlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("this is a host, and no plugin")
}

func (p *executorPlugin) GRPCClient(_ context.Context, broker *plugin.GRPCBroker,
	connection *grpc.ClientConn) (interface{}, error) {
	return &executor{broker, connection, p.generation}, nil
}

type processorPlugin struct{}

func (*processorPlugin) Server(*plugin.MuxBroker) (interface{}, error) {
	return nil, errors.New("this is a host, and no plugin")
}

func (*processorPlugin) Client(_ *plugin.MuxBroker, client *rpc.Client) (interface{}, error) {
	return client, nil
}

func process(client *rpc.Client, config map[string]string) {
	output := []byte("printed\n")
	if size, err := strconv.Atoi(config["size"]); err == nil {
		output = []byte(strings.Repeat("x", size))
		delete(config, "size")
	}
	arguments := &wire.ProcessorArgs{
		Execution: wire.Execution{
			JobName: "job", Success: true, Output: output, NodeName: "n1",
			Group: 1795328601189006808, Attempt: 2, StartedAt: &wire.Timestamp{1700000000, 7},
		},
		Config: config,
	}
	reply := new(wire.Execution)
	if err := client.Call("Plugin.Process", arguments, reply); err != nil {
		say("failed %v", err)
		return
	}
	at := "never"
	if reply.StartedAt != nil {
		at = fmt.Sprintf("%d.%d", reply.StartedAt.Seconds, reply.StartedAt.Nanos)
	}
	say("execution %s %v %s %d %d %s %v", reply.JobName, reply.Success, reply.NodeName, reply.Group,
		reply.Attempt, at, reply.FinishedAt == nil)
	if len(reply.Output) > 4096 {
		say("output of %d bytes", len(reply.Output))
	} else {
		say("output %q", reply.Output)
	}
}

type printed struct{ name string }

func (p printed) Write(bytes []byte) (int, error) {
	say("%s %q", p.name, bytes)
	return len(bytes), nil
}

func main() {
	options, config := map[string]int{}, map[string]string{}
	isConfig := false
	for _, word := range os.Args[3:] {
		parts := strings.SplitN(word, "=", 2)
		if word == "--" {
			isConfig = true
		} else if isConfig {
			config[parts[0]] = parts[1]
		} else {
			options[parts[0]], _ = strconv.Atoi(parts[1])
		}
	}
	kind := os.Args[1]
	protocols := map[string]plugin.Protocol{
		"executor": plugin.ProtocolGRPC, "processor": plugin.ProtocolNetRPC,
	}
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: wire.Handshake,
		Plugins: map[string]plugin.Plugin{
			"executor":  &executorPlugin{generation: options["generation"]},
			"processor": &processorPlugin{},
		},
		Cmd:              exec.Command(os.Args[2]),
		AllowedProtocols: []plugin.Protocol{protocols[kind]},
		SyncStdout:       printed{"stdout"},
		SyncStderr:       printed{"stderr"},
		Logger:           hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Debug}),
	})
	defer client.Kill()
	connection, err := client.Client()
	if err != nil {
		say("no client: %v", err)
		return
	}
	if err := connection.Ping(); err != nil {
		say("no ping: %v", err)
	}
	raw, err := connection.Dispense(kind)
	if err != nil {
		say("nothing dispensed: %v", err)
		return
	}
	say("plugin %d", client.ReattachConfig().Pid)
	if after := options["die"]; after > 0 {
		time.AfterFunc(time.Duration(after)*time.Millisecond, func() { os.Exit(7) })
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if after := options["cancel"]; after > 0 {
		time.AfterFunc(time.Duration(after)*time.Millisecond, cancel)
	}
	count := options["calls"]
	if count == 0 {
		count = 1
	}
	var group sync.WaitGroup
	for i := 0; i < count; i++ {
		own := map[string]string{}
		for key, value := range config {
			own[key] = value
		}
		group.Add(1)
		go func() {
			defer group.Done()
			switch service := raw.(type) {
			case *executor:
				service.execute(ctx, own)
			case *rpc.Client:
				process(service, own)
			}
		}()
	}
	if options["leave"] > 0 {
		time.Sleep(time.Duration(options["leave"]) * time.Millisecond)
		client.Kill()
	}
	group.Wait()
	if kind == "executor" {
		// What the plugin prints comes on a stream of its own.
		time.Sleep(200 * time.Millisecond)
	}
	time.Sleep(time.Duration(options["linger"]) * time.Millisecond)
	begin := time.Now()
	client.Kill()
	say("ended %v in time %v", client.Exited(), time.Since(begin) < 1900*time.Millisecond)
}

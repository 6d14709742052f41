// A processor plugin on HashiCorp's library, as the tests' peer. What it does says the key "do" of
// its settings.
package main

import (
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"sort"
	"strconv"
	"time"

	plugin "github.com/hashicorp/go-plugin"
	"wire"
)

// Processor is the service.
type Processor struct{}

// Process answers with the execution as it is to be from now on.
func (*Processor) Process(args *wire.ProcessorArgs, reply *wire.Execution) error {
	*reply = args.Execution
	number, _ := strconv.Atoi(args.Config["count"])
	switch args.Config["do"] {
	case "describe":
		reply.Output = []byte(describe(args))
	case "fail":
		reply.Success = false
		reply.Output = append(reply.Output, "judged a failure\n"...)
	case "refuse":
		return errors.New("no such thing")
	case "wait":
		time.Sleep(time.Duration(number) * time.Second)
	case "crash":
		panic("nothing works")
	case "print":
		fmt.Println("printed by the processor")
		fmt.Fprintln(os.Stderr, "[WARN] complained by the processor")
	}
	return nil
}

func describe(args *wire.ProcessorArgs) string {
	e := args.Execution
	text := fmt.Sprintf("%s %v %d %s %d %d", e.JobName, e.Success, len(e.Output), e.NodeName,
		e.Group, e.Attempt)
	for _, at := range []*wire.Timestamp{e.StartedAt, e.FinishedAt} {
		if at != nil {
			text += fmt.Sprintf(" %d.%d", at.Seconds, at.Nanos)
		} else {
			text += " never"
		}
	}
	lines := []string{}
	for key, value := range args.Config {
		lines = append(lines, key+"="+value)
	}
	sort.Strings(lines)
	for _, line := range lines {
		text += "\n" + line
	}
	return text + "\n"
}

type processorPlugin struct{}

func (*processorPlugin) Server(*plugin.MuxBroker) (interface{}, error) {
	return &Processor{}, nil
}

func (*processorPlugin) Client(*plugin.MuxBroker, *rpc.Client) (interface{}, error) {
	return nil, errors.New("this is a plugin, and no host")
}

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: wire.Handshake,
		Plugins:         map[string]plugin.Plugin{"processor": &processorPlugin{}},
	})
}

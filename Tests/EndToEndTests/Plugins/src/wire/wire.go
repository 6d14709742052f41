// Package wire is what a host and its plugins say to each other.
package wire

import (
	"github.com/golang/protobuf/proto"
	plugin "github.com/hashicorp/go-plugin"
)

// Handshake is that of all plugins.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  1,
	MagicCookieKey:   "DKRON_PLUGIN_MAGIC_COOKIE",
	MagicCookieValue: "b29a76488b6f3ca7955c5f769b50641f0fcd88748d8cedecda313d516320ca19",
}

// Generation names the services of one generation; one without updates has no name for them.
type Generation struct {
	Executor, Updates string
}

// Generations are all of them, the newest first.
var Generations = []Generation{
	{"types.v1.ExecutorService", "types.v1.StatusHelperService"},
	{"types.Executor", "types.StatusHelper"},
	{"dkron.Executor", ""},
}

// ExecuteRequest asks an executor for a run.
type ExecuteRequest struct {
	JobName      string            `protobuf:"bytes,1,opt,name=job_name,json=jobName,proto3"`
	Config       map[string]string `protobuf:"bytes,2,rep,name=config,proto3" protobuf_key:"bytes,1,opt,name=key,proto3" protobuf_val:"bytes,2,opt,name=value,proto3"`
	StatusServer uint32            `protobuf:"varint,3,opt,name=status_server,json=statusServer,proto3"`
}

// ExecuteResponse is what came of it.
type ExecuteResponse struct {
	Output []byte `protobuf:"bytes,1,opt,name=output,proto3"`
	Error  string `protobuf:"bytes,2,opt,name=error,proto3"`
}

// UpdateRequest tells output of a run that goes on.
type UpdateRequest struct {
	Output []byte `protobuf:"bytes,2,opt,name=output,proto3"`
	Error  bool   `protobuf:"varint,3,opt,name=error,proto3"`
}

// UpdateResponse answers it.
type UpdateResponse struct {
	R int64 `protobuf:"varint,1,opt,name=r,proto3"`
}

func (m *ExecuteRequest) Reset()          { *m = ExecuteRequest{} }
func (m *ExecuteRequest) String() string  { return proto.CompactTextString(m) }
func (*ExecuteRequest) ProtoMessage()     {}
func (m *ExecuteResponse) Reset()         { *m = ExecuteResponse{} }
func (m *ExecuteResponse) String() string { return proto.CompactTextString(m) }
func (*ExecuteResponse) ProtoMessage()    {}
func (m *UpdateRequest) Reset()           { *m = UpdateRequest{} }
func (m *UpdateRequest) String() string   { return proto.CompactTextString(m) }
func (*UpdateRequest) ProtoMessage()      {}
func (m *UpdateResponse) Reset()          { *m = UpdateResponse{} }
func (m *UpdateResponse) String() string  { return proto.CompactTextString(m) }
func (*UpdateResponse) ProtoMessage()     {}

// Timestamp is seconds since 1970 and a rest.
type Timestamp struct {
	Seconds int64
	Nanos   int32
}

// Execution is matched by the names of its fields.
type Execution struct {
	JobName    string
	Success    bool
	Output     []byte
	NodeName   string
	Group      int64
	Attempt    uint32
	StartedAt  *Timestamp
	FinishedAt *Timestamp
}

// ProcessorArgs is what Process is called with.
type ProcessorArgs struct {
	Execution Execution
	Config    map[string]string
}

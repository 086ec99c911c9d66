// Encode PersistentVolumes as the API server stores them, for tests/backup/test_persistent_volumes.py.
// Run it in a checkout of K3s v1.36.3+k3s1: go run -mod=mod /path/to/persistent-volumes.go >persistent-volumes.json
package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	jsonserializer "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/runtime/serializer/versioning"
)

const storage = "/home/alice/.rancher/k3s/storage/"

// So long that the lengths of all messages around it need another byte.
var moved = "/home/bob/" + strings.Repeat("long/", 60)

func volume(name, claim string, source v1.PersistentVolumeSource, nodes ...string) *v1.PersistentVolume {
	mode := v1.PersistentVolumeFilesystem
	made := meta.NewTime(time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC))
	found := &v1.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{
			Name: name, UID: "0f6e2a0c-6a7e-4f8b-9a56-0c5a4f2f5d11", CreationTimestamp: made,
			Finalizers: []string{"kubernetes.io/pv-protection"},
			Annotations: map[string]string{
				"pv.kubernetes.io/provisioned-by":      "rancher.io/local-path",
				"local.path.provisioner/selected-node": "node1",
			},
			ManagedFields: []meta.ManagedFieldsEntry{{
				Manager: "local-path-provisioner", Operation: meta.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &made,
				FieldsType: "FieldsV1", FieldsV1: &meta.FieldsV1{Raw: []byte(`{"f:spec":{"f:local":{".":{},"f:path":{}}}}`)},
			}},
		},
		Spec: v1.PersistentVolumeSpec{
			Capacity:                      v1.ResourceList{v1.ResourceStorage: resource.MustParse("1Gi")},
			PersistentVolumeSource:        source,
			AccessModes:                   []v1.PersistentVolumeAccessMode{v1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: v1.PersistentVolumeReclaimDelete,
			StorageClassName:              "local-path",
			VolumeMode:                    &mode,
		},
		Status: v1.PersistentVolumeStatus{Phase: v1.VolumeBound, LastPhaseTransitionTime: &made},
	}
	if claim != "" {
		found.Spec.ClaimRef = &v1.ObjectReference{
			Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: "default", Name: claim,
			UID: "5b0e7f62-2d0e-4a8b-8d7f-6c1a2b3c4d5e", ResourceVersion: "512",
		}
	}
	if len(nodes) > 0 {
		found.Spec.NodeAffinity = &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
			MatchExpressions: []v1.NodeSelectorRequirement{
				{Key: "kubernetes.io/os", Operator: v1.NodeSelectorOpIn, Values: []string{"linux"}},
				{Key: "kubernetes.io/hostname", Operator: v1.NodeSelectorOpIn, Values: nodes},
			},
		}}}}
	}
	return found
}

func local(path string) v1.PersistentVolumeSource {
	return v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}}
}

func hostPath(path string) v1.PersistentVolumeSource {
	kind := v1.HostPathDirectoryOrCreate
	return v1.PersistentVolumeSource{HostPath: &v1.HostPathVolumeSource{Path: path, Type: &kind}}
}

func main() {
	scheme := runtime.NewScheme()
	_ = v1.AddToScheme(scheme)
	proto := protobuf.NewSerializer(scheme, scheme)
	text := jsonserializer.NewSerializerWithOptions(jsonserializer.DefaultMetaFactory, scheme, scheme, jsonserializer.SerializerOptions{})
	objects := map[string]*v1.PersistentVolume{
		"pvc-local":  volume("pvc-local", "data", local(storage+"pvc-local_default_data"), "node1"),
		"pvc-host":   volume("pvc-host", "old", hostPath(storage+"pvc-host_default_old"), "node1"),
		"by-hand":    volume("by-hand", "", hostPath("/home/alice/data")),
		"elsewhere":  volume("elsewhere", "", local("/srv/k3s-rootless-test/data"), "node1"),
		"other-node": volume("other-node", "", local(storage+"pvc-local_default_data"), "node7"),
		"nfs": volume("nfs", "shared", v1.PersistentVolumeSource{
			NFS: &v1.NFSVolumeSource{Server: "nfs.example", Path: "/home/alice/.rancher/k3s/storage/x"},
		}),
	}
	found := map[string]map[string][]byte{"protobuf": {}, "json": {}, "protobuf-moved": {}, "json-moved": {}}
	for name, object := range objects {
		for _, suffix := range []string{"", "-moved"} {
			if suffix != "" {
				move(object)
			}
			encode(found, name, suffix, object, map[string]runtime.Serializer{"protobuf": proto, "json": text}, scheme)
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	_ = encoder.Encode(found)
}

// The same volume in the longer path of another user.
func move(object *v1.PersistentVolume) {
	if object.Spec.Local != nil {
		object.Spec.Local.Path = moved + object.Name
	}
	if object.Spec.HostPath != nil {
		object.Spec.HostPath.Path = moved + object.Name
	}
}

func encode(found map[string]map[string][]byte, name, suffix string, object *v1.PersistentVolume,
	serializers map[string]runtime.Serializer, scheme *runtime.Scheme) {
	for kind, serializer := range serializers {
		// As the storage layer of the API server: with the group and version of the object.
		codec := versioning.NewDefaultingCodecForScheme(scheme, serializer, serializer, schema.GroupVersion{Version: "v1"}, nil)
		var buffer bytes.Buffer
		if err := codec.Encode(object, &buffer); err != nil {
			panic(err)
		}
		found[kind+suffix][name] = buffer.Bytes()
	}
}

"""What moto's CloudFormation leaves out of CA4's stacks, done in its stead by EC2's own interface.

It makes no association of a subnet with its route table, reads no SecurityGroupEgress, and gives a network interface neither its
groups nor its tags. The values come from the templates and parameters that the stacks were really made with, not from files.
"""

import cfnlint.decode.cfn_yaml


class Deployed:
    """One stack as CloudFormation has it, with the few intrinsic functions that the values below are made of."""

    def __init__(self, formation, name):
        stack = formation.describe_stacks(StackName=name)["Stacks"][0]
        body = formation.get_template(StackName=name)["TemplateBody"]
        self.name = name
        self.template = cfnlint.decode.cfn_yaml.loads(body)
        self.values = {p["ParameterKey"]: p["ParameterValue"] for p in stack.get("Parameters", [])}
        self.values["AWS::StackName"] = name
        for resource in formation.describe_stack_resources(StackName=name)["StackResources"]:
            # moto lists some kinds without their names; none of those is needed here.
            if {"LogicalResourceId", "PhysicalResourceId"} <= resource.keys():
                self.values[resource["LogicalResourceId"]] = resource["PhysicalResourceId"]

    def resolve(self, value):
        if isinstance(value, dict):
            return self.values[value["Ref"]] if "Ref" in value else {k: self.resolve(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.resolve(v) for v in value]
        return value

    def resources(self, kind):
        """(physical id, resolved properties) of each resource of a type."""
        for name, resource in self.template["Resources"].items():
            if resource["Type"] == kind:
                yield self.values[name], self.resolve(resource["Properties"])


def close(formation, ec2, stack_names):
    for name in stack_names:
        stack = Deployed(formation, name)
        for _, properties in stack.resources("AWS::EC2::SubnetRouteTableAssociation"):
            ec2.associate_route_table(**properties)
        for interface, properties in stack.resources("AWS::EC2::NetworkInterface"):
            ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=properties["GroupSet"])
            ec2.create_tags(Resources=[interface], Tags=properties["Tags"])
        for group, properties in stack.resources("AWS::EC2::SecurityGroup"):
            set_egress(ec2, group, properties["SecurityGroupEgress"])


def set_egress(ec2, group, rules):
    everything = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    for rule in rules:
        ports = {k: int(rule[k]) for k in ("FromPort", "ToPort") if k in rule}
        permission = {"IpProtocol": rule["IpProtocol"], "IpRanges": [{"CidrIp": rule["CidrIp"]}]} | ports
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[permission])

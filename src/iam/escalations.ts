/**
 * Known ways from some permissions to more: what each needs, all of it. Collected in public by Rhino Security Labs and in DataDog's
 * pathfinding.cloud; cloudsplaining and Prowler carry them as well. One that needs more than another has no line of its own. A way that needs a role to be passed names the service it is passed to, so
 * that `iam:PassedToService` decides. Every action here exists in AWS's service reference; a test holds it.
 */

export interface Escalation {
  /** What it comes to, after "may". */
  readonly gains: string;
  readonly needs: readonly string[];
  /** For `iam:PassRole`: who gets the role. */
  readonly passedTo?: string;
}

const way = (gains: string, needs: string, passedTo?: string): Escalation => {
  const list = needs.split(" ");
  return passedTo === undefined ? { gains, needs: list } : { gains, needs: ["iam:PassRole", ...list], passedTo };
};

export const escalations: readonly Escalation[] = [
  way("make keys of other users", "iam:CreateAccessKey"),
  way("give other users a password", "iam:CreateLoginProfile"),
  way("change other users' passwords", "iam:UpdateLoginProfile"),
  way("join users to groups", "iam:AddUserToGroup"),
  way("rewrite managed policies", "iam:CreatePolicyVersion"),
  way("bring back old versions of managed policies", "iam:SetDefaultPolicyVersion"),
  way("attach any policy to users", "iam:AttachUserPolicy"),
  way("attach any policy to groups", "iam:AttachGroupPolicy"),
  way("attach any policy to roles", "iam:AttachRolePolicy"),
  way("write policies of users", "iam:PutUserPolicy"),
  way("write policies of groups", "iam:PutGroupPolicy"),
  way("write policies of roles", "iam:PutRolePolicy"),
  way("decide who may become a role", "iam:UpdateAssumeRolePolicy"),
  way("take permissions boundaries off roles", "iam:DeleteRolePermissionsBoundary"),
  way("change permissions boundaries of roles", "iam:PutRolePermissionsBoundary"),
  way("take permissions boundaries off users", "iam:DeleteUserPermissionsBoundary"),
  way("change permissions boundaries of users", "iam:PutUserPermissionsBoundary"),
  way("make the cluster's users administrators", "eks:CreateAccessEntry eks:AssociateAccessPolicy"),
  way("become a machine it starts with any role", "ec2:RunInstances", "ec2.amazonaws.com"),
  way("become a spot machine it asks for with any role", "ec2:RequestSpotInstances", "ec2.amazonaws.com"),
  way("give a running machine another role", "ec2:ReplaceIamInstanceProfileAssociation", "ec2.amazonaws.com"),
  way("give a running machine a role", "ec2:AssociateIamInstanceProfile", "ec2.amazonaws.com"),
  way("run code in machines by their user data", "ec2:ModifyInstanceAttribute ec2:StopInstances ec2:StartInstances"),
  way("run code in machines that will start", "ec2:CreateLaunchTemplateVersion ec2:ModifyLaunchTemplate"),
  way("log into machines", "ec2-instance-connect:SendSSHPublicKey"),
  way("run commands in machines", "ssm:SendCommand"),
  way("open a shell in machines", "ssm:StartSession"),
  way("become a function's role", "lambda:CreateFunction lambda:InvokeFunction", "lambda.amazonaws.com"),
  way(
    "become a function's role by a trigger",
    "lambda:CreateFunction lambda:CreateEventSourceMapping",
    "lambda.amazonaws.com",
  ),
  way(
    "become a function's role by others' calls",
    "lambda:CreateFunction lambda:AddPermission",
    "lambda.amazonaws.com",
  ),
  way("change the code of functions", "lambda:UpdateFunctionCode"),
  way("put a layer of its own under functions", "lambda:UpdateFunctionConfiguration"),
  way("become a Glue endpoint's role", "glue:CreateDevEndpoint", "glue.amazonaws.com"),
  way("log into Glue endpoints", "glue:UpdateDevEndpoint"),
  way("become a Glue job's role", "glue:CreateJob glue:StartJobRun", "glue.amazonaws.com"),
  way("become a Glue job's role by a trigger", "glue:CreateJob glue:CreateTrigger", "glue.amazonaws.com"),
  way("change a Glue job and its role", "glue:UpdateJob glue:StartJobRun", "glue.amazonaws.com"),
  way("change a Glue job and its role by a trigger", "glue:UpdateJob glue:CreateTrigger", "glue.amazonaws.com"),
  way("make a stack with any role", "cloudformation:CreateStack", "cloudformation.amazonaws.com"),
  way("change stacks with the roles they have", "cloudformation:UpdateStack"),
  way(
    "change stacks with the roles they have by a change set",
    "cloudformation:CreateChangeSet cloudformation:ExecuteChangeSet",
  ),
  way(
    "make a stack set with any role",
    "cloudformation:CreateStackSet cloudformation:CreateStackInstances",
    "cloudformation.amazonaws.com",
  ),
  way("change a stack set with any role", "cloudformation:UpdateStackSet", "cloudformation.amazonaws.com"),
  way(
    "become a pipeline's role",
    "datapipeline:CreatePipeline datapipeline:PutPipelineDefinition",
    "datapipeline.amazonaws.com",
  ),
  // A build's commands can be replaced when it is started, so a project need not be one's own.
  way("run commands in builds", "codebuild:StartBuild"),
  way("run commands in batches of builds", "codebuild:StartBuildBatch"),
  way("run code in machines by a deployment", "codedeploy:CreateDeployment codedeploy:RegisterApplicationRevision"),
  // A task's role can be replaced when it is started, so a definition need not be one's own.
  way("become a task's role", "ecs:RunTask", "ecs-tasks.amazonaws.com"),
  way("become a task's role on a machine", "ecs:RegisterTaskDefinition ecs:StartTask", "ecs-tasks.amazonaws.com"),
  way(
    "become a task's role on a machine of its own",
    "ecs:StartTask ecs:RegisterContainerInstance",
    "ecs-tasks.amazonaws.com",
  ),
  way("become a service's tasks' role", "ecs:RegisterTaskDefinition ecs:CreateService", "ecs-tasks.amazonaws.com"),
  way("run commands in tasks", "ecs:ExecuteCommand"),
  way("become an App Runner service's role", "apprunner:CreateService", "tasks.apprunner.amazonaws.com"),
  way("run commands where an App Runner service's role is", "apprunner:UpdateService"),
  way("become a notebook's role", "sagemaker:CreateNotebookInstance", "sagemaker.amazonaws.com"),
  way("become a training job's role", "sagemaker:CreateTrainingJob", "sagemaker.amazonaws.com"),
  way("become a processing job's role", "sagemaker:CreateProcessingJob", "sagemaker.amazonaws.com"),
  way("open notebooks", "sagemaker:CreatePresignedNotebookInstanceUrl"),
  way(
    "run code in notebooks",
    "sagemaker:CreateNotebookInstanceLifecycleConfig sagemaker:StopNotebookInstance sagemaker:UpdateNotebookInstance sagemaker:StartNotebookInstance",
  ),
  way(
    "run code where an interpreter's role is",
    "bedrock-agentcore:StartCodeInterpreterSession bedrock-agentcore:InvokeCodeInterpreter",
  ),
  way("run commands where an agent's role is", "bedrock-agentcore:InvokeAgentRuntimeCommand"),
  way(
    "become an agent's role",
    "bedrock-agentcore:CreateAgentRuntime bedrock-agentcore:InvokeAgentRuntime",
    "bedrock-agentcore.amazonaws.com",
  ),
  way(
    "become a group's machines' role",
    "autoscaling:CreateLaunchConfiguration autoscaling:CreateAutoScalingGroup",
    "ec2.amazonaws.com",
  ),
  way(
    "give a group's machines another role",
    "autoscaling:CreateLaunchConfiguration autoscaling:UpdateAutoScalingGroup",
    "ec2.amazonaws.com",
  ),
  way(
    "become an image's build machine's role",
    "imagebuilder:CreateComponent imagebuilder:CreateImageRecipe imagebuilder:CreateInfrastructureConfiguration imagebuilder:CreateImage",
    "ec2.amazonaws.com",
  ),
  way("become an automation's role", "ssm:CreateDocument ssm:StartAutomationExecution", "ssm.amazonaws.com"),
  way(
    "hand a role to everybody by an identity pool",
    "cognito-identity:SetIdentityPoolRoles",
    "cognito-identity.amazonaws.com",
  ),
  // To whom these are passed differs by the kind of job: a condition on iam:PassedToService is then one that is not known.
  way("become a batch job's role", "iam:PassRole batch:RegisterJobDefinition batch:SubmitJob"),
  way("become a cluster's machines' role", "iam:PassRole elasticmapreduce:RunJobFlow"),
  way("become a Spark job's role", "iam:PassRole emr-serverless:CreateApplication emr-serverless:StartJobRun"),
  way(
    "become a stream application's role",
    "iam:PassRole kinesisanalytics:CreateApplication kinesisanalytics:StartApplication",
  ),
  way(
    "become a fleet's machines' role",
    "iam:PassRole gamelift:CreateBuild gamelift:CreateFleet gamelift:RequestUploadCredentials",
  ),
  way("become a workflow's role", "iam:PassRole omics:CreateWorkflow omics:StartRun"),
  way("become a hybrid job's role", "iam:PassRole braket:CreateJob"),
  way("become a state machine's role", "states:CreateStateMachine states:StartExecution", "states.amazonaws.com"),
  way("become a schedule's role", "scheduler:CreateSchedule", "scheduler.amazonaws.com"),
];

/** Answers of these carry credentials or secrets, or open a session as somebody else. */
export const credentialActions: readonly string[] = [
  "sts:AssumeRole",
  "sts:GetFederationToken",
  "iam:CreateAccessKey",
  "iam:UpdateAccessKey",
  "iam:CreateServiceSpecificCredential",
  "iam:ResetServiceSpecificCredential",
  "secretsmanager:GetSecretValue",
  "secretsmanager:BatchGetSecretValue",
  "ssm:GetParameter",
  "ssm:GetParameters",
  "ssm:GetParametersByPath",
  "ec2:GetPasswordData",
  "rds-db:connect",
  "redshift:GetClusterCredentials",
  "redshift:GetClusterCredentialsWithIAM",
  "cognito-identity:GetCredentialsForIdentity",
  "codepipeline:PollForJobs",
  "lightsail:GetInstanceAccessDetails",
  "lightsail:DownloadDefaultKeyPair",
  "lightsail:GetRelationalDatabaseMasterUserPassword",
  "mediapackage:RotateChannelCredentials",
  "snowball:GetJobUnlockCode",
  "storagegateway:DescribeChapCredentials",
  "connect:GetFederationToken",
];

/** Rights that only an administrator has together; one of a service each, none of them harmless. */
export const iamProbes: readonly string[] = [
  "iam:CreateUser",
  "iam:PutRolePolicy",
  "iam:AttachRolePolicy",
  "iam:CreatePolicyVersion",
  "iam:UpdateAssumeRolePolicy",
];
export const otherProbes: readonly string[] = [
  "s3:DeleteBucket",
  "s3:PutBucketPolicy",
  "ec2:TerminateInstances",
  "kms:ScheduleKeyDeletion",
  "lambda:CreateFunction",
  "dynamodb:DeleteTable",
  "cloudformation:CreateStack",
  "rds:DeleteDBInstance",
  "sns:SetTopicAttributes",
  "ecs:RegisterTaskDefinition",
  "cloudtrail:StopLogging",
];
